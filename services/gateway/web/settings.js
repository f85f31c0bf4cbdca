// The settings page: one section for each thing that is set once. Each is a module of its own.

import { part } from "./element.js";
import { Frame } from "./frame.js";
import { HotwordLists } from "./hotword-lists.js";
import { startLanguage } from "./i18n.js";
import { Tokens } from "./tokens.js";
import { Webhooks } from "./webhooks.js";

/** Each section of the page; it has `start()`, and lets `frame.guard` try what may fail. */
const sectionsOf = (root, dialog, frame) => [
  new HotwordLists(part(root, "#hotword-lists"), dialog, frame),
  new Tokens(part(root, "#tokens"), dialog, frame),
  new Webhooks(part(root, "#webhooks"), dialog, frame),
];

startLanguage();
const root = document.body;
const frame = new Frame(root);
frame.start();
for (const section of sectionsOf(root, part(root, "dialog"), frame)) section.start();
