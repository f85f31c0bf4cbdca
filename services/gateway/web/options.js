// What the user asks of the next recordings: language, task, silence, priority, channels.

import { element, part } from "./element.js";
import { currentLanguage, say } from "./i18n.js";
import { recall, remember } from "./memory.js";

// The languages of Whisper that have a two-letter code (ISO 639-1).
const CODES = `af am ar as az ba be bg bn bo br bs ca cs cy da de el en es et eu fa fi fo fr gl gu ha he hi
  hr ht hu hy id is it ja ka kk km kn ko la lb ln lo lt lv mg mi mk ml mn mr ms mt my ne nl nn no oc pa pl
  ps pt ro ru sa sd si sk sl sn so sq sr su sv sw ta te tg th tk tl tr tt uk ur uz vi yi yo zh`;

/** The option fields of the page; choices are remembered. */
export class Options {
  constructor(root) {
    this.language = part(root, "[name=language]");
    this.task = part(root, "[name=task]");
    this.skipSilence = part(root, "[name=skip_silence]");
    this.low = part(root, "[name=priority]");
    this.split = part(root, "[name=channels]");
    this.#listLanguages();
    this.#restore();
    document.addEventListener("languagechange", () => this.#listLanguages());
    root.addEventListener("change", () => this.#keep());
  }

  /** The form fields that an upload takes along. */
  fields() {
    return [
      ["language", this.language.value],
      ["task", this.task.value],
      ["skip_silence", String(this.skipSilence.checked)],
      ["priority", this.low.checked ? "low" : "normal"],
      ["channels", this.split.checked ? "split" : "mix"],
    ];
  }

  #listLanguages() {
    const chosen = this.language.value || "auto";
    const locale = currentLanguage() === "zh" ? "zh-CN" : "en";
    const names = new Intl.DisplayNames([locale], { type: "language" });
    const automatic = element("option", { value: "auto" });
    say(automatic, "options.language_auto");
    const named = CODES.split(/\s+/).map((code) => [names.of(code), code]);
    named.sort(([one], [other]) => one.localeCompare(other, locale));
    const options = named.map(([name, code]) => element("option", { value: code }, name));
    this.language.replaceChildren(automatic, ...options);
    this.language.value = chosen;
  }

  #restore() {
    this.language.value = recall("option.language") ?? "auto";
    if (!this.language.value) this.language.value = "auto";
    this.task.value = recall("option.task") === "translate" ? "translate" : "transcribe";
    this.skipSilence.checked = recall("option.skip_silence") !== "false";
    this.low.checked = recall("option.priority") === "low";
    this.split.checked = recall("option.channels") === "split";
  }

  #keep() {
    for (const [name, value] of this.fields()) remember(`option.${name}`, value);
  }
}
