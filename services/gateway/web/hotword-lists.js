// The user's hotword lists: made, edited, imported, exported and deleted.

import { eraseHotwordList, hotwordList, hotwordLists, me } from "./api.js";
import { part } from "./element.js";
import { ListEditor } from "./list-editor.js";
import { ListRow } from "./list-row.js";
import { ask } from "./question.js";

/** The section in `root`. */
export class HotwordLists {
  #lists = [];

  constructor(root, dialog, frame) {
    Object.assign(this, { root, dialog, frame, admin: false });
    this.rows = part(root, ".list-rows");
    this.empty = part(root, ".lists-empty");
    this.form = part(root, ".list-form");
    this.share = part(root, ".list-share");
    this.editor = new ListEditor(part(root, ".list-editor"), dialog, {
      changed: () => this.frame.guard(() => this.#load()),
      closed: () => part(root, "h2").focus(),
    });
    this.form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.frame.guard(() => this.#make());
    });
    this.form.elements.make.disabled = false; // until now it would have loaded the page anew
  }

  start() {
    this.frame.guard(async () => {
      this.admin = (await me()).roles.includes("admin");
      this.share.hidden = !this.admin;
      await this.#load();
      if (location.hash === `#${this.root.id}`) this.root.scrollIntoView(); // it has its height only now
    });
  }

  async #load() {
    this.#lists = await hotwordLists();
    this.empty.hidden = this.#lists.length > 0;
    const on = {
      edit: (list) => this.frame.guard(() => this.#edit(list)),
      copy: (list) => this.frame.guard(() => this.#copy(list)),
      erase: (list) => this.frame.guard(() => this.#erase(list)),
    };
    const rows = this.#lists.map((list) => new ListRow(list, !list.shared || this.admin, on).node);
    this.rows.replaceChildren(...rows);
  }

  /** A name that is taken opens the list that has it. */
  async #make() {
    const fields = new FormData(this.form);
    const [name, shared] = [fields.get("name").trim(), this.admin && fields.has("shared")];
    const there = this.#lists.find((list) => list.name === name && list.shared === shared);
    if (there) await this.#edit(there);
    else await this.editor.open({ name, shared, version: 0, words: [] });
    this.form.reset();
  }

  async #edit(list) {
    await this.editor.open(await hotwordList(list));
  }

  /** A list of one's own with the words of a shared one, stored once it is saved. */
  async #copy(list) {
    const { words, method, boost_factor } = await hotwordList(list);
    const own = this.#lists.find(({ name, shared }) => name === list.name && !shared);
    await this.editor.open({ name: list.name, shared: false, version: own?.version ?? 0, words, method, boost_factor });
  }

  async #erase(list) {
    const choices = [["erase", "lists.erase", "danger"], ["keep", "lists.keep", "plain"]];
    const title = list.shared ? "lists.erase_shared_title" : "lists.erase_title";
    const values = { name: list.name };
    if ((await ask(this.dialog, { title, text: "lists.erase_text", values, choices })) !== "erase") return;
    await eraseHotwordList(list).catch((problem) => problem.status === 404 || Promise.reject(problem));
    this.editor.forget(list);
    await this.#load();
    part(this.root, "h2").focus();
  }
}
