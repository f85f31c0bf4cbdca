// The list of recordings: what is being sent from here, then the gateway's jobs, newest first.

import { jobs as readJobs } from "./api.js";
import { Recording } from "./recording.js";
import { RecordingRow } from "./row.js";

const REFRESH_MS = 5000;

/** Keeps the rows in `list`; `more` loads earlier jobs; `empty` shows while there is nothing. */
export class Recordings {
  #rows = new Map(); // Recording -> RecordingRow
  #next = null;
  #selected = null;

  constructor({ list, more, empty }, { onErase, onChange }) {
    Object.assign(this, { list, more, empty, onErase, onChange });
    more.addEventListener("click", () => this.#loadMore());
  }

  /** Load the newest jobs, and keep looking while any of them is under way. */
  async start() {
    await this.#loadNewest({ remember: true });
    setInterval(() => {
      const worthwhile = !document.hidden && [...this.#rows.keys()].some((recording) => recording.active);
      if (worthwhile) this.#loadNewest().catch(() => {});
    }, REFRESH_MS);
  }

  addUpload(upload) {
    return this.#add(Recording.ofUpload(upload), { first: true });
  }

  /** The recording that the page's address means, or undefined. */
  find(address) {
    return [...this.#rows.keys()].find((recording) => recording.matches(address));
  }

  /** The recording of this job, added when it was not listed. */
  ofJob(job) {
    return this.#learn(job, { first: false });
  }

  remove(recording) {
    this.#rows.get(recording)?.node.remove();
    this.#rows.delete(recording);
    this.#showEmpty();
  }

  select(recording) {
    this.#rows.get(this.#selected)?.select(false);
    this.#selected = recording;
    this.#rows.get(recording)?.select(true);
  }

  async #loadNewest({ remember = false } = {}) {
    const { jobs, next } = await readJobs();
    for (const job of [...jobs].reverse()) this.#learn(job, { first: true });
    if (remember) this.#showNext(next);
  }

  async #loadMore() {
    this.more.disabled = true;
    try {
      const { jobs, next } = await readJobs(this.#next);
      for (const job of jobs) this.#learn(job, { first: false });
      this.#showNext(next);
    } finally {
      this.more.disabled = false;
    }
  }

  #learn(job, place) {
    const known = this.find(job.id);
    if (!known) return this.#add(Recording.ofJob(job), place);
    known.learn(job);
    return known;
  }

  #add(recording, { first }) {
    const row = new RecordingRow(recording, () => this.onErase(recording));
    this.#rows.set(recording, row);
    this.list[first ? "prepend" : "append"](row.node);
    recording.addEventListener("change", () => this.#changed(recording));
    this.#showEmpty();
    return recording;
  }

  #changed(recording) {
    this.#rows.get(recording)?.render();
    if (recording.upload && recording.id) this.#dropTwin(recording);
    this.onChange(recording);
  }

  /** The list may have heard of an upload's job before the upload did. */
  #dropTwin(recording) {
    for (const other of this.#rows.keys()) {
      if (other !== recording && other.id === recording.id) this.remove(other);
    }
  }

  #showNext(next) {
    this.#next = next;
    this.more.hidden = !next;
    this.#showEmpty();
  }

  #showEmpty() {
    this.empty.hidden = this.#rows.size > 0;
  }
}
