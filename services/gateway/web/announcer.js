// News for screen readers: polite, and never more often than one can listen to.

const PAUSE_MS = 10000;
const LONGEST = 240;

/** Says things through a live region; of several within the pause only the newest is said. */
export class Announcer {
  #next = null;
  #timer = null;

  constructor(region) {
    this.region = region;
  }

  /** Something that can wait, and that newer news may replace. */
  news(text) {
    this.#next = text.length > LONGEST ? `…${text.slice(-LONGEST)}` : text;
    this.#timer ??= setTimeout(() => this.#flush(), PAUSE_MS);
  }

  /** Something to be said now. */
  now(text) {
    clearTimeout(this.#timer);
    [this.#timer, this.#next] = [null, null];
    this.region.textContent = text;
  }

  #flush() {
    this.#timer = null;
    if (this.#next) this.region.textContent = this.#next;
    this.#next = null;
  }
}
