// The section of personal access tokens: make one, see it once, see which there are, revoke them.

import * as api from "./api.js";
import { toClipboard } from "./clipboard.js";
import { part } from "./element.js";
import { say } from "./i18n.js";
import { explain } from "./problem.js";
import { ask } from "./question.js";
import { tokenRow } from "./token-row.js";

const COPIED_MS = 2500;

/** Owns the section `root`; asks in `dialog`, and complains by the page's `frame`. */
export class Tokens {
  #tokens = [];

  constructor(root, dialog, frame) {
    Object.assign(this, { root, dialog, frame });
    this.title = part(root, "h2");
    this.form = part(root, "form");
    this.refusal = part(root, ".form-refusal");
    this.made = part(root, ".token-made");
    this.text = part(root, ".token-text");
    this.copy = part(root, ".token-copy");
    this.list = part(root, ".token-rows");
    this.empty = part(root, ".tokens-empty");
    this.revokeAll = part(root, ".tokens-revoke-all");
    this.form.addEventListener("submit", (event) => this.#submitted(event));
    this.form.elements.make.disabled = false; // until now it would have loaded the page anew
    this.copy.addEventListener("click", () => this.#copy());
    part(root, ".token-done").addEventListener("click", () => this.#hideMade());
    this.revokeAll.addEventListener("click", () => this.#askForAll());
  }

  start() {
    this.frame.guard(() => this.#load());
  }

  async #load() {
    const { tokens, limits } = await api.tokens();
    for (const option of this.form.elements.days.options) option.hidden = Number(option.value) > limits.days;
    this.#show(tokens);
  }

  #show(tokens) {
    this.#tokens = tokens;
    this.list.replaceChildren(...tokens.map((token) => tokenRow(token, () => this.#ask(token))));
    this.empty.hidden = tokens.length > 0;
    this.revokeAll.hidden = tokens.length < 2;
  }

  async #submitted(event) {
    event.preventDefault();
    const { name, days, make } = this.form.elements;
    const scopes = [...this.form.querySelectorAll("[name=scope]:checked")].map((box) => box.value);
    if (!scopes.length) return this.#refuse("tokens.no_scope");
    make.disabled = true; // one click makes one token
    this.refusal.hidden = true;
    try {
      const made = await api.makeToken({ name: name.value, scopes, expires_in_days: Number(days.value) });
      this.#showMade(made);
    } catch (problem) {
      if (!problem.code) throw problem;
      this.#refuse(() => explain(problem));
    } finally {
      make.disabled = false;
    }
  }

  #refuse(reason) {
    this.refusal.hidden = false;
    say(this.refusal, reason);
  }

  #showMade({ token, ...made }) {
    this.form.reset();
    this.#show([made, ...this.#tokens]);
    this.text.textContent = token;
    this.made.hidden = false;
    this.made.focus();
  }

  /** It is not shown again, so it does not stay in the page either. */
  #hideMade() {
    this.text.textContent = "";
    this.made.hidden = true;
    this.title.focus();
  }

  async #copy() {
    const copied = await toClipboard(this.text.textContent);
    say(this.copy, copied ? "action.copied" : "action.not_copied");
    setTimeout(() => say(this.copy, "tokens.copy"), COPIED_MS);
  }

  async #ask(token) {
    const choices = [["revoke", "tokens.revoke", "danger"], ["keep", "tokens.keep", "plain"]];
    const question = { title: "tokens.revoke_title", text: "tokens.revoke_text", values: token, choices };
    if ((await ask(this.dialog, question)) !== "revoke") return;
    await this.#revoke(() => api.revokeToken(token.id), this.#tokens.filter(({ id }) => id !== token.id));
  }

  async #askForAll() {
    const choices = [["revoke", "tokens.revoke_all", "danger"], ["keep", "tokens.keep", "plain"]];
    const values = { count: this.#tokens.length };
    const question = { title: "tokens.all_title", text: "tokens.all_text", values, choices };
    if ((await ask(this.dialog, question)) === "revoke") await this.#revoke(() => api.revokeTokens(), []);
  }

  async #revoke(request, left) {
    const revoked = await this.frame.guard(() => request().catch(unlessGone));
    if (!revoked) return;
    this.#show(left);
    this.title.focus(); // the button that had it is gone
  }
}

/** Revoked elsewhere in the meantime: what was wanted is so. */
function unlessGone(problem) {
  if (problem.status !== 404) throw problem;
}
