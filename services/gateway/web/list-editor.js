// One hotword list being edited: its words, earlier versions of them, and files that bring others.

import { hotwordList, putHotwordList } from "./api.js";
import { element, part } from "./element.js";
import { say } from "./i18n.js";
import { explain } from "./problem.js";
import { ask } from "./question.js";
import { Wording } from "./wording.js";

const JSON_TYPE = "application/json";
const DEFAULTS = { method: "prompt_injection", boost_factor: 1.5 };
const VERSIONS_KEPT = 10;
const ENCODINGS = [
  ["gb18030", "lists.encoding_gbk", "plain"],
  ["windows-1252", "lists.encoding_western", "plain"],
  ["", "lists.encoding_none", "plain"],
];

/** Edits in `root`; `on.changed` is called when a list was stored, `on.closed` when nothing is edited any more. */
export class ListEditor {
  #list = null;
  #dirty = false;

  constructor(root, dialog, on) {
    Object.assign(this, { root, dialog, on });
    this.title = part(root, ".list-editor-title");
    this.versions = part(root, "[name=version]");
    this.refusal = part(root, ".form-refusal");
    this.note = part(root, ".list-note");
    this.wording = new Wording(part(root, ".list-wording"), () => this.#touch());
    this.versions.addEventListener("change", () => this.#try(() => this.#restore()));
    part(root, "[type=file]").addEventListener("change", ({ target }) => {
      const [file] = target.files;
      if (file) this.#try(() => this.#import(file).finally(() => (target.value = "")));
    });
    part(root, ".list-save").addEventListener("click", () => this.#try(() => this.#save()));
    part(root, ".list-close").addEventListener("click", () => this.#close());
  }

  /** Show `list`, which is stored once it is saved where its version is 0. */
  async open(list) {
    if (!(await this.#mayLeave())) return;
    this.#show(list);
    this.note.hidden = true;
    this.root.hidden = false;
    this.root.scrollIntoView({ block: "nearest" });
    this.root.focus({ preventScroll: true });
  }

  /** Edit it no more, if it is this one. */
  forget({ name, shared }) {
    if (this.#list?.name === name && this.#list.shared === shared) this.#leave();
  }

  #show(list) {
    this.#list = list;
    this.#dirty = false;
    this.refusal.hidden = true;
    say(this.title, list.version ? "lists.editing" : "lists.making", { name: list.name });
    this.wording.words = list.words;
    this.wording.steer({ ...DEFAULTS, ...list });
    this.#listVersions();
  }

  #listVersions() {
    const { version } = this.#list;
    const oldest = Math.max(1, version - VERSIONS_KEPT + 1);
    const options = Array.from({ length: Math.max(0, version - oldest + 1) }, (_, back) => {
      const option = element("option", { value: version - back });
      say(option, back ? "lists.version" : "lists.version_newest", { version: version - back });
      return option;
    });
    this.versions.replaceChildren(...options);
    this.versions.parentElement.hidden = options.length < 2;
  }

  #touch() {
    this.#dirty = true;
    this.note.hidden = true;
  }

  /** Show the words of an earlier version; saving makes them the newest. */
  async #restore() {
    const found = await hotwordList(this.#list, { version: this.versions.value });
    this.wording.words = found.words;
    this.wording.steer(found);
    this.#dirty = found.version !== this.#list.version;
  }

  async #save() {
    this.wording.commit();
    await this.#put(JSON.stringify(this.wording.config), JSON_TYPE);
    this.#tell("lists.saved", { version: this.#list.version });
  }

  /** The file takes the place of all words; the gateway reads it, and asks where its encoding is not plain. */
  async #import(file) {
    const type = /\.csv$/i.test(file.name) ? "text/csv" : "text/plain";
    try {
      await this.#put(file, type);
    } catch (problem) {
      if (problem.code !== "wrong_encoding") throw problem;
      const question = { title: "lists.encoding_title", text: "lists.encoding_text", choices: ENCODINGS };
      const charset = await ask(this.dialog, { ...question, values: { name: file.name } });
      if (!charset) return;
      await this.#put(file, `${type}; charset=${charset}`);
    }
    const { version, words } = this.#list;
    this.#tell("lists.imported", { name: file.name, count: words.length, version });
  }

  async #put(body, type) {
    const head = await this.#stored(body, type);
    this.#show(await hotwordList(head));
    this.on.changed();
  }

  /** Somebody else's newer version is overwritten only if the user says so. */
  async #stored(body, type) {
    try {
      return await putHotwordList(this.#list, body, type);
    } catch (problem) {
      if (problem.code !== "version_conflict") throw problem;
      const choices = [["over", "lists.conflict_over", "danger"], ["keep", "lists.conflict_keep", "plain"]];
      const values = { name: this.#list.name };
      const question = { title: "lists.conflict_title", text: "lists.conflict_text", values, choices };
      if ((await ask(this.dialog, question)) !== "over") throw problem;
      const newest = await hotwordList(this.#list).catch(() => ({ version: 0 }));
      return putHotwordList({ ...this.#list, version: newest.version }, body, type);
    }
  }

  async #close() {
    if (await this.#mayLeave()) this.#leave();
  }

  async #mayLeave() {
    if (!this.#dirty) return true;
    const choices = [["leave", "lists.leave", "danger"], ["stay", "lists.stay", "plain"]];
    const values = { name: this.#list.name };
    const question = { title: "lists.leave_title", text: "lists.leave_text", values, choices };
    return (await ask(this.dialog, question)) === "leave";
  }

  #leave() {
    this.#list = null;
    this.#dirty = false;
    this.root.hidden = true;
    this.on.closed();
  }

  #tell(key, values) {
    this.note.hidden = false;
    say(this.note, key, values);
  }

  async #try(action) {
    this.refusal.hidden = true;
    this.note.hidden = true;
    try {
      await action();
    } catch (problem) {
      if (!problem.code) throw problem; // a mistake of ours belongs on the console
      this.refusal.hidden = false;
      say(this.refusal, () => explain(problem));
    }
  }
}
