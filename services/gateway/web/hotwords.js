// The user's hotwords: the words, how they are applied, and their copy in the gateway.

import { hotwords as load, saveHotwords as save } from "./api.js";
import { Chips } from "./chips.js";
import { part } from "./element.js";
import { say } from "./i18n.js";
import { explain } from "./problem.js";

const SAVE_AFTER_MS = 600;

/** The hotword section of the page; every change is stored a moment later, never before the list was read. */
export class Hotwords {
  #loaded = false;
  #touched = false;
  #timer = null;
  #saving = Promise.resolve();

  constructor(root) {
    this.boost = part(root, "[name=boost]");
    this.boostValue = part(root, ".boost-value");
    this.boostRow = part(root, ".boost");
    this.methods = [...root.querySelectorAll("[name=hotword_method]")];
    this.note = part(root, ".hotwords-note");
    const input = part(root, ".chips-input");
    const message = part(root, ".chips-message");
    const list = part(root, ".chips-list");
    this.chips = new Chips({ box: part(root, ".chips"), list, input, message }, () => this.#changed());
    for (const field of [this.boost, ...this.methods]) {
      field.addEventListener("input", () => this.#changed());
    }
  }

  /** Show the stored list; without it the section still works. */
  start() {
    this.#saving = this.#load().catch((problem) => this.#tell("hotwords.not_loaded", problem));
    return this.#saving;
  }

  get config() {
    const method = this.methods.find((field) => field.checked).value;
    return { method, words: this.chips.words, boost_factor: Number(this.boost.value) };
  }

  /** The form fields that an upload takes along; without them the gateway takes the stored list. */
  fields() {
    this.chips.commit();
    if (!this.#loaded && !this.#touched) return [];
    const { method, words, boost_factor } = this.config;
    return [
      ["hotwords", JSON.stringify(words)],
      ["hotword_method", method],
      ["boost_factor", String(boost_factor)],
    ];
  }

  async #load() {
    const stored = await load();
    this.#loaded = true;
    this.#show(stored);
  }

  /** The stored list; what the user has set by now counts more. */
  #show({ method, words, boost_factor }) {
    this.chips.words = [...words, ...this.chips.words];
    if (this.#touched) return;
    for (const field of this.methods) field.checked = field.value === method;
    this.boost.value = String(boost_factor);
    this.#showBoost();
  }

  #showBoost() {
    this.boostRow.hidden = this.config.method !== "logit_bias";
    this.boostValue.textContent = Number(this.boost.value).toFixed(1);
  }

  #changed() {
    this.#touched = true;
    this.#showBoost();
    this.note.hidden = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#save(), SAVE_AFTER_MS);
  }

  /** One after the other, so that the newest list is the one that stays. */
  #save() {
    this.#saving = this.#saving.then(async () => {
      try {
        if (!this.#loaded) await this.#load();
        await save(this.config);
        this.#tell("hotwords.saved");
      } catch (problem) {
        this.#tell("hotwords.not_saved", problem);
      }
    });
  }

  #tell(key, problem = null) {
    this.note.hidden = false;
    this.note.classList.toggle("bad", problem !== null);
    say(this.note, key, { reason: () => (problem ? explain(problem) : "") });
  }
}
