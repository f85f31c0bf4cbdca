// One chunk of a transcript on the page: its lines of text, its gap, the silence left out before it.

import { element } from "./element.js";
import { clock, isoDuration } from "./format.js";
import { say, translate } from "./i18n.js";
import { explain } from "./problem.js";

const SILENCE_WORTH_SHOWING_SECONDS = 3;

/** A list item that fills as the chunk's events come, in any order. */
export class ChunkItem {
  node = element("li", { class: "chunk" });
  text = "";
  end = 0;
  #heard = false;
  #skipped = [];
  #lines = [];

  constructor({ chunk, start, channel = 0 }) {
    Object.assign(this, { number: chunk, start, channel });
  }

  cut({ start, end, skipped }) {
    this.end = end;
    this.#skipped = silenceLines(skipped);
    if (!this.#heard && !this.#lines.length) this.node.replaceChildren(...this.#skipped, pendingLine(start));
  }

  /** Whether that is news. A chunk of one of several channels stays empty: its phrases are items themselves. */
  heard(event) {
    if (this.#heard && (this.text || event.channel !== undefined)) return false;
    this.#heard = true;
    this.end = event.end;
    if (event.channel === undefined) this.text = event.text.trim();
    this.#fill(event.channel === undefined ? spoken(event).map(segmentLine) : []);
    return true;
  }

  gap(event) {
    if (!this.#heard) this.#fill([gapLine(event)]);
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

/** A phrase on one of several channels, which stands between those of the others. */
class PhraseItem {
  constructor({ start, end, text }, channel) {
    Object.assign(this, { start, end, channel });
    this.text = `${translate(...channelName(channel))}: ${text.trim()}`;
    this.node = element("li", { class: "chunk" }, segmentLine({ start, text, channel }));
  }

  settle() {}
}

/** The phrases of a chunk on one of several channels, as items of their own. */
export function phrases(event) {
  return spoken(event).map((segment) => new PhraseItem(segment, event.channel));
}

/** Lines that stand for silence which was left out. Short pauses, and those of one channel, are not worth one. */
export function silenceLines(ranges) {
  const worth = ({ start, end, channel }) =>
    channel === undefined && end - start >= SILENCE_WORTH_SHOWING_SECONDS;
  return ranges.filter(worth).map(silenceLine);
}

function spoken({ start, end, text, segments }) {
  return segments.length || !text.trim() ? segments : [{ start, end, text }];
}

const channelName = (channel) => ["transcript.channel", { number: channel + 1 }];

function channelLabel(channel) {
  const label = element("span", { class: "line-channel" });
  say(label, ...channelName(channel));
  return label;
}

function silenceLine({ start, end }) {
  const words = element("span", { class: "line-text" });
  say(words, "transcript.silence", { seconds: Math.round(end - start) });
  return line("silence", start, words);
}

function segmentLine({ start, text, channel }) {
  const words = element("span", { class: "line-text" });
  if (channel !== undefined) words.append(channelLabel(channel), " ");
  words.append(text.trim());
  return line("segment", start, words);
}

function gapLine({ start, end, error, channel }) {
  const words = element("span", { class: "line-text" });
  const values = { start: clock(start), end: clock(end), reason: () => explain(error) };
  say(words, "transcript.gap", values);
  const again = element("button", { type: "button", class: "button plain gap-retry" });
  say(again, "action.retry");
  const shown = line("gap", start, words);
  if (channel !== undefined) words.before(channelLabel(channel));
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
