// The page's language: every text that was said in one language can be said again in another.

import { recall, remember } from "./memory.js";
import { ENGLISH } from "./texts-en.js";
import { CHINESE } from "./texts-zh.js";

const TEXTS = { en: ENGLISH, zh: CHINESE };
const spoken = new WeakMap(); // node -> Map(attribute or "" -> [key, values])

let language = "en";

export const currentLanguage = () => language;

/** Whether the current language has this text itself. */
export const hasText = (key) => key in TEXTS[language];

/** The text of `key` with `{name}` filled from `values`; a value may be a function, asked each time. */
export function translate(key, values = {}) {
  const text = TEXTS[language][key] ?? ENGLISH[key] ?? key;
  return text.replace(/\{(\w+)\}/g, (place, name) => {
    const value = values[name];
    return value === undefined ? place : String(typeof value === "function" ? value() : value);
  });
}

/**
 * Put a text into `node`, or into one of its attributes, and keep it right when the language changes.
 * `key` names the text, or is a function that makes it.
 */
export function say(node, key, values = {}, attribute = "") {
  const entries = spoken.get(node) ?? new Map();
  entries.set(attribute, [key, values]);
  spoken.set(node, entries);
  node.setAttribute("data-said", "");
  utter(node, attribute, key, values);
}

/** Say everything in `code`, and remember the choice. */
export function setLanguage(code) {
  remember("language", code);
  applyLanguage(code);
}

/** Find the language to begin with and say the texts that the HTML names in `data-t` attributes. */
export function startLanguage() {
  for (const node of document.querySelectorAll("[data-t]")) say(node, node.dataset.t);
  for (const attribute of ["aria-label", "placeholder", "title"]) {
    for (const node of document.querySelectorAll(`[data-t-${attribute}]`)) {
      say(node, node.getAttribute(`data-t-${attribute}`), {}, attribute);
    }
  }
  const preferred = navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
  const chosen = recall("language");
  applyLanguage(chosen in TEXTS ? chosen : preferred);
}

/** Make `select` the language switch. */
export function bindLanguageSwitch(select) {
  select.value = language;
  select.addEventListener("change", () => setLanguage(select.value));
}

function applyLanguage(code) {
  language = code;
  document.documentElement.lang = code === "zh" ? "zh-CN" : "en";
  for (const node of document.querySelectorAll("[data-said]")) {
    for (const [attribute, [key, values]] of spoken.get(node) ?? []) utter(node, attribute, key, values);
  }
  document.dispatchEvent(new Event("languagechange"));
}

function utter(node, attribute, key, values) {
  const text = typeof key === "function" ? key() : translate(key, values);
  if (attribute) node.setAttribute(attribute, text);
  else node.textContent = text;
}
