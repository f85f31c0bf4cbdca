// A progress bar with its figures, for eyes and for screen readers.

import { part } from "./element.js";
import { say } from "./i18n.js";

/** Drives a `.bar` block: a label, figures, and a track with role progressbar. */
export class Bar {
  constructor(root) {
    this.root = root;
    this.track = part(root, "[role=progressbar]");
    this.figures = part(root, ".bar-figures");
  }

  hide() {
    this.root.hidden = true;
  }

  /** `percent` null means: moving, but nobody knows how far. The text says the rest. */
  show(percent, key, values = {}) {
    this.root.hidden = false;
    this.track.classList.toggle("unknown", percent === null);
    this.track.style.setProperty("--share", String((percent ?? 100) / 100));
    if (percent === null) this.track.removeAttribute("aria-valuenow");
    else this.track.setAttribute("aria-valuenow", String(Math.floor(percent)));
    say(this.figures, key, values);
    this.track.setAttribute("aria-valuetext", this.figures.textContent);
  }
}
