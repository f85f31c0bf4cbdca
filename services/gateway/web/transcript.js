// The transcript on the page: everything in the order of time, whatever order it comes in.

import { ChunkItem, phrases, silenceLines } from "./chunk.js";
import { element } from "./element.js";

const NEAR_END_PIXELS = 60;

/**
 * Only ever adds or fills single items, so a transcript of ten hours costs no more per event than a
 * short one. Follows its own end until the reader scrolls up.
 */
export class Transcript {
  #items = [];
  #byNumber = new Map();
  #following = true;
  #live = true;
  #lastTop = 0;
  #tail = null;

  /** `scroller` holds `list`; `jump` is the button that leads back to the end. */
  constructor(scroller, list, jump) {
    Object.assign(this, { scroller, list, jump });
    scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    jump.addEventListener("click", () => this.#toEnd());
    new ResizeObserver(() => this.#resized()).observe(list);
  }

  clear() {
    this.#items = [];
    this.#byNumber.clear();
    this.list.replaceChildren();
    this.scroller.scrollTop = 0;
    this.#lastTop = 0;
    this.#live = true;
    this.follow(true);
  }

  /** Whether to keep the end in view; a finished transcript is read from its start. */
  follow(wanted) {
    this.#following = wanted;
    this.jump.hidden = true;
  }

  /** The job was over when it was opened: nothing new will come that one could miss. */
  readFromStart() {
    this.#live = false;
    this.follow(false);
  }

  cut(event) {
    this.#item(event).cut(event);
  }

  /** Whether that is news: a job whose gaps are tried again tells everything once more. */
  heard(event) {
    const news = this.#item(event).heard(event);
    if (news && event.channel !== undefined) for (const phrase of phrases(event)) this.#place(phrase);
    return news;
  }

  gap(event) {
    this.#item(event).gap(event);
  }

  end({ skipped }) {
    for (const item of this.#items) item.settle();
    const lines = silenceLines(skipped.filter((range) => range.start >= this.#known));
    this.#tail?.remove();
    this.#tail = element("li", { class: "chunk" }, ...lines);
    this.list.append(this.#tail);
  }

  /** All text so far, a line for each chunk, or for each phrase where channels are apart. */
  get text() {
    return this.#items.map((item) => item.text).filter(Boolean).join("\n");
  }

  get empty() {
    return this.#items.every((item) => !item.text);
  }

  get hasItems() {
    return this.#items.length > 0;
  }

  /** Where the last chunk ends, in seconds. */
  get #known() {
    return this.#items.at(-1)?.end ?? 0;
  }

  #item(event) {
    const known = this.#byNumber.get(event.chunk);
    if (known) return known;
    const item = new ChunkItem(event);
    this.#place(item);
    this.#byNumber.set(event.chunk, item);
    return item;
  }

  #place(item) {
    let place = this.#items.length;
    while (place > 0 && isBefore(item, this.#items[place - 1])) place -= 1;
    this.list.insertBefore(item.node, this.#items[place]?.node ?? null);
    this.#items.splice(place, 0, item);
  }

  /** Text has come, or lines that were only estimated were laid out: once a frame, after layout. */
  #resized() {
    if (this.#following) this.#toEnd();
    else this.jump.hidden = !this.#live || this.#distance() < NEAR_END_PIXELS;
  }

  #toEnd() {
    this.follow(true);
    this.scroller.scrollTop = this.scroller.scrollHeight;
  }

  #scrolled() {
    const top = this.scroller.scrollTop;
    if (this.#distance() < NEAR_END_PIXELS) this.follow(true);
    else if (top < this.#lastTop) this.#following = false;
    this.#lastTop = top;
  }

  #distance() {
    return this.scroller.scrollHeight - this.scroller.scrollTop - this.scroller.clientHeight;
  }
}

function isBefore(one, other) {
  return one.start < other.start || (one.start === other.start && one.channel < other.channel);
}
