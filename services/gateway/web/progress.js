// How much of a recording is transcribed, counted from its events.

/** Folds a job's events; positions in seconds. */
export class Progress {
  #ends = new Map(); // chunk -> end, of the chunks that came before an earlier one
  #next = 0; // the first chunk without text or gap
  #reached = 0;
  #total = null;
  #percent = 0;
  #finished = false;
  #attempt = 0;

  /** A `job` event: the gateway's own count, and the length it expects. */
  job({ progress, duration, status, attempt }) {
    this.#attempt = attempt;
    this.#total = duration ?? progress?.total_seconds ?? this.#total;
    this.#percent = Math.max(this.#percent, progress?.percent ?? 0);
    this.#finished ||= status === "completed";
  }

  /** A `text` or `gap` event; the gap of an earlier attempt is being tried again. */
  chunk({ chunk, end, attempt }) {
    if (chunk < this.#next || attempt < this.#attempt) return;
    this.#ends.set(chunk, end);
    while (this.#ends.has(this.#next)) {
      this.#reached = Math.max(this.#reached, this.#ends.get(this.#next));
      this.#ends.delete(this.#next);
      this.#next += 1;
    }
  }

  /** The `end` event. */
  end({ duration, status }) {
    this.#total = duration ?? this.#total;
    this.#finished ||= status === "completed";
  }

  /** Seconds from the start to where the text has its first hole. */
  get reached() {
    return this.#finished && this.#total ? this.#total : this.#reached;
  }

  get total() {
    return this.#total;
  }

  /** 0 to 100, never falling; null while nothing tells how long the recording is. */
  get percent() {
    if (this.#finished) return 100;
    if (this.#total) {
      const share = (100 * this.#reached) / this.#total;
      this.#percent = Math.max(this.#percent, Math.min(share, 99)); // 100 is for the end alone
    }
    return this.#total || this.#percent ? this.#percent : null;
  }
}
