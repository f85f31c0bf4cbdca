// The section of webhooks: see the secret that they are signed with, and change it.

import * as api from "./api.js";
import { part } from "./element.js";
import { day } from "./format.js";
import { say } from "./i18n.js";
import { ask } from "./question.js";

/** Owns the section `root`; asks in `dialog`, and complains by the page's `frame`. */
export class Webhooks {
  constructor(root, dialog, frame) {
    Object.assign(this, { root, dialog, frame });
    this.title = part(root, "h2");
    this.shown = part(root, ".secret");
    this.text = part(root, ".secret-text");
    this.facts = part(root, ".secret-facts");
    this.toggle = part(root, ".secret-toggle");
    this.toggle.addEventListener("click", () => this.#toggled());
    part(root, ".secret-change").addEventListener("click", () => this.#askToChange());
  }

  /** Nothing is asked for before somebody wants to see it. */
  start() {
    this.#hide();
  }

  #toggled() {
    if (!this.shown.hidden) return this.#hide();
    return this.frame.guard(async () => this.#show(await api.signingSecret()));
  }

  async #askToChange() {
    const choices = [["change", "webhooks.change", "danger"], ["keep", "webhooks.keep", "plain"]];
    const question = { title: "webhooks.change_title", text: "webhooks.change_text", choices };
    if ((await ask(this.dialog, question)) !== "change") return;
    await this.frame.guard(async () => this.#show(await api.changeSigningSecret()));
  }

  #show({ secret, created_at: made, previous_until: until }) {
    this.text.textContent = secret;
    say(this.facts, until ? "webhooks.changed" : "webhooks.since", { date: () => day(made), until: () => until && day(until) });
    this.shown.hidden = false;
    this.toggle.setAttribute("aria-expanded", "true");
    say(this.toggle, "webhooks.hide");
  }

  /** It stays in nobody's view longer than needed, nor in the page. */
  #hide() {
    this.text.textContent = "";
    this.shown.hidden = true;
    this.toggle.setAttribute("aria-expanded", "false");
    say(this.toggle, "webhooks.show");
  }
}
