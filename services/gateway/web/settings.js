// The settings page: one section for each thing that is set once. Each is a module of its own.

import { part } from "./element.js";
import { Frame } from "./frame.js";
import { startLanguage } from "./i18n.js";
import { Webhooks } from "./webhooks.js";

/** Makes each section from the page's parts; a section has `start()` and asks `frame.guard` to try things. */
const sectionsOf = (root, dialog, frame) => [new Webhooks(part(root, "#webhooks"), dialog, frame)];

startLanguage();
const root = document.body;
const frame = new Frame(root);
frame.start();
for (const section of sectionsOf(root, part(root, "dialog"), frame)) section.start();
