// What every page has around its own parts: language, who is logged in, the operator's notice, complaints.

import * as api from "./api.js";
import { part } from "./element.js";
import { bindLanguageSwitch, say } from "./i18n.js";
import { explain } from "./problem.js";

/** The frame of the page below `root`. */
export class Frame {
  constructor(root) {
    this.root = root;
    this.alert = part(root, ".alert");
  }

  start() {
    bindLanguageSwitch(part(this.root, ".language"));
    part(this.alert, "button").addEventListener("click", () => (this.alert.hidden = true));
    this.guard(() => this.#greet());
  }

  /** Do something that may fail, and say so if it does; whether it went well. */
  async guard(action) {
    try {
      await action();
      return true;
    } catch (problem) {
      this.complain(problem);
      return false;
    }
  }

  complain(problem) {
    if (!problem.code) throw problem; // a mistake of ours belongs on the console
    if (problem.code === "unauthorized") return;
    this.alert.hidden = false;
    say(part(this.alert, ".alert-text"), () => explain(problem));
  }

  async #greet() {
    const { username, notice } = await api.me();
    part(this.root, ".username").textContent = username;
    const banner = part(this.root, ".banner");
    banner.textContent = notice ?? "";
    banner.hidden = !notice;
  }
}
