// One chunk of a transcript on the page: its lines of text, its gap, the silence left out before it.

import { element } from "./element.js";
import { clock, isoDuration } from "./format.js";
import { say } from "./i18n.js";
import { explain } from "./problem.js";

const SILENCE_WORTH_SHOWING_SECONDS = 3;

/** A list item that fills as the chunk's events come, in any order. */
export class ChunkItem {
  node = element("li", { class: "chunk" });
  text = "";
  end = 0;
  #skipped = [];
  #lines = [];

  constructor(number) {
    this.number = number;
  }

  cut({ start, end, skipped }) {
    this.end = end;
    this.#skipped = silenceLines(skipped);
    if (!this.#lines.length) this.node.replaceChildren(...this.#skipped, pendingLine(start));
  }

  heard({ start, end, text, segments }) {
    if (this.text) return false;
    this.end = end;
    this.text = text.trim();
    const whole = this.text ? [{ start, end, text }] : [];
    this.#fill((segments.length ? segments : whole).map(segmentLine));
    return true;
  }

  gap(event) {
    if (!this.text) this.#fill([gapLine(event)]);
  }

  /** The job is over: what is still pending will not come. */
  settle() {
    if (!this.#lines.length) this.node.replaceChildren(...this.#skipped);
  }

  #fill(lines) {
    this.#lines = lines;
    this.node.replaceChildren(...this.#skipped, ...lines);
  }
}

/** Lines that stand for silence which was left out; short pauses are not worth one. */
export function silenceLines(ranges) {
  return ranges.filter(({ start, end }) => end - start >= SILENCE_WORTH_SHOWING_SECONDS).map(silenceLine);
}

function silenceLine({ start, end }) {
  const words = element("span", { class: "line-text" });
  say(words, "transcript.silence", { seconds: Math.round(end - start) });
  return line("silence", start, words);
}

function segmentLine({ start, text }) {
  return line("segment", start, element("span", { class: "line-text" }, text.trim()));
}

function gapLine({ start, end, error }) {
  const words = element("span", { class: "line-text" });
  const values = { start: clock(start), end: clock(end), reason: () => explain(error) };
  say(words, "transcript.gap", values);
  const again = element("button", { type: "button", class: "button plain gap-retry" });
  say(again, "action.retry");
  const shown = line("gap", start, words);
  shown.append(again);
  return shown;
}

function pendingLine(start) {
  return line("pending", start, element("span", { class: "line-text dots" }));
}

function line(kind, start, words) {
  const time = element("time", { class: "line-time", datetime: isoDuration(start) }, clock(start));
  return element("p", { class: `line ${kind}` }, time, " ", words);
}
