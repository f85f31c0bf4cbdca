// The settings page: one section for each thing that is set once. Each is a module of its own.

import { Frame } from "./frame.js";
import { startLanguage } from "./i18n.js";

/** Makes each section from the page's parts; a section has `start()` and asks `frame.guard` to try things. */
const sectionsOf = (_root, _frame) => [];

startLanguage();
const frame = new Frame(document.body);
frame.start();
for (const section of sectionsOf(document.body, frame)) section.start();
