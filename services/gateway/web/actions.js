// What one can do with an open recording: copy, download, try again, cancel, delete.

import { downloadUrl } from "./api.js";
import { toClipboard } from "./clipboard.js";
import { part } from "./element.js";
import { say } from "./i18n.js";

const COPIED_MS = 2500;

/** The buttons of the open recording; `on` has `copy()` (gives the text), `retry()` and `erase()`. */
export class Actions {
  constructor(root, on) {
    this.root = root;
    this.copy = part(root, ".action-copy");
    this.retry = part(root, ".action-retry");
    this.erase = part(root, ".action-erase");
    this.links = [...root.querySelectorAll("a[data-format]")];
    this.downloads = part(root, ".downloads");
    this.copy.addEventListener("click", () => this.#copy(on.copy()));
    this.retry.addEventListener("click", () => on.retry());
    this.erase.addEventListener("click", () => on.erase());
  }

  /** Offer what makes sense for `recording`, of which `hasText` says whether there is anything to take. */
  render(recording, hasText) {
    this.copy.hidden = this.downloads.hidden = !hasText || !recording.id;
    this.retry.hidden = !recording.retryable && !recording.fillable;
    say(this.retry, recording.retryable ? "action.retry" : "action.fill");
    say(this.erase, recording.active ? "action.cancel" : "action.erase");
    for (const link of this.links) {
      if (recording.id) link.href = downloadUrl(recording.id, link.dataset.format);
    }
  }

  async #copy(text) {
    const copied = await toClipboard(text);
    say(this.copy, copied ? "action.copied" : "action.not_copied");
    setTimeout(() => say(this.copy, "action.copy"), COPIED_MS);
  }
}
