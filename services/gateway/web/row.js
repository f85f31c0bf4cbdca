// One row in the list of recordings.

import { element } from "./element.js";
import { clock, day, percent } from "./format.js";
import { say, translate } from "./i18n.js";

/** Shows a recording; `onErase` is called by its delete button. */
export class RecordingRow {
  constructor(recording, onErase) {
    this.recording = recording;
    this.name = element("span", { class: "row-name" });
    this.state = element("span", { class: "row-state" });
    this.facts = element("span", { class: "row-facts" });
    const meta = element("span", { class: "row-meta" }, this.state, this.facts);
    this.link = element("a", { class: "row-link" }, this.name, meta);
    this.erase = element("button", { type: "button", class: "icon-button row-erase" }, cross());
    this.erase.addEventListener("click", onErase);
    this.node = element("li", { class: "row" }, this.link, this.erase);
    this.render();
  }

  render() {
    const { recording } = this;
    const { name, tone } = recording.status;
    this.link.href = `#${recording.address}`;
    this.name.textContent = recording.name;
    this.name.title = recording.name;
    this.state.dataset.tone = tone;
    say(this.state, () => stateText(name, recording));
    say(this.facts, () => factsText(recording.job));
    const key = recording.active ? "row.cancel" : "row.erase";
    say(this.erase, key, { name: recording.name }, "aria-label");
    say(this.erase, key, { name: recording.name }, "title");
  }

  select(chosen) {
    if (chosen) this.link.setAttribute("aria-current", "true");
    else this.link.removeAttribute("aria-current");
  }
}

function stateText(name, { upload }) {
  const text = translate(`status.${name}`);
  if (name !== "receiving" || !upload?.active) return text;
  return `${text} ${percent((100 * upload.sent) / upload.file.size)}`;
}

function factsText(job) {
  if (!job) return "";
  const length = job.duration ? ` · ${clock(job.duration)}` : "";
  return ` · ${day(job.created_at)}${length}`;
}

function cross() {
  return element("span", { class: "cross", "aria-hidden": "true" });
}
