// The hotwords of the next recordings: the user's own words, with their copy in the gateway, or a named list.

import { hotwords as load, saveHotwords as save } from "./api.js";
import { part } from "./element.js";
import { say } from "./i18n.js";
import { ListPicker } from "./list-picker.js";
import { explain } from "./problem.js";
import { Wording } from "./wording.js";

const SAVE_AFTER_MS = 600;

/** The hotword section of the page; every change is stored a moment later, never before the list was read. */
export class Hotwords {
  #loaded = false;
  #touched = false;
  #timer = null;
  #saving = Promise.resolve();

  constructor(root) {
    this.note = part(root, ".hotwords-note");
    const own = part(root, ".hotwords-own");
    this.wording = new Wording(own, () => this.#changed());
    this.picker = new ListPicker(root, (chosen) => (own.hidden = chosen !== null));
  }

  /** Show the stored list and what others there are; without them the section still works. */
  start() {
    this.picker.start();
    this.#saving = this.#load().catch((problem) => this.#tell("hotwords.not_loaded", problem));
    return this.#saving;
  }

  /** The form fields that an upload takes along; without them the gateway takes the stored list. */
  fields() {
    if (this.picker.chosen) return [["hotword_list", this.picker.chosen]];
    this.wording.commit();
    if (!this.#loaded && !this.#touched) return [];
    const { method, words, boost_factor } = this.wording.config;
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
  #show(stored) {
    this.wording.words = [...stored.words, ...this.wording.words];
    if (!this.#touched) this.wording.steer(stored);
  }

  #changed() {
    this.#touched = true;
    this.note.hidden = true;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#save(), SAVE_AFTER_MS);
  }

  /** One after the other, so that the newest list is the one that stays. */
  #save() {
    this.#saving = this.#saving.then(async () => {
      try {
        if (!this.#loaded) await this.#load();
        await save(this.wording.config);
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
