// A job's events as they happen, through lost connections and restarted gateways.

import { eventsUrl, job as readJob } from "./api.js";
import { isFinal } from "./status.js";

const NAMES = ["job", "cut", "text", "gap", "end"];
const FIRST_DELAY_MS = 1000;
const LONGEST_DELAY_MS = 15000;
const MOST_REFUSALS = 3;

/**
 * Follow a job. `handlers` has a function for each event name, `connection(state)` with `open` or
 * `reconnecting`, and `lost(problem)` when there is nothing to follow any more. Returns what stops it.
 */
export function follow(id, handlers) {
  const following = new Following(id, handlers);
  following.connect();
  return () => following.stop();
}

class Following {
  #source = null;
  #timer = null;
  #stopped = false;
  #last = null;
  #delay = FIRST_DELAY_MS;
  #refusals = 0;

  constructor(id, handlers) {
    this.id = id;
    this.handlers = handlers;
  }

  connect() {
    this.#source = new EventSource(eventsUrl(this.id, this.#last));
    this.#source.addEventListener("open", () => this.#opened());
    this.#source.addEventListener("error", () => this.#broken());
    for (const name of NAMES) this.#source.addEventListener(name, (event) => this.#received(name, event));
  }

  stop() {
    this.#stopped = true;
    this.#source?.close();
    clearTimeout(this.#timer);
  }

  #opened() {
    this.#delay = FIRST_DELAY_MS;
    this.#refusals = 0;
    this.handlers.connection("open");
  }

  #received(name, event) {
    if (this.#stopped) return;
    this.#last = event.lastEventId || this.#last;
    this.handlers[name](JSON.parse(event.data));
    if (name === "end") this.stop();
  }

  /** The browser reconnects after a lost connection by itself, but gives up on an answer other than 200. */
  #broken() {
    if (this.#stopped) return;
    this.handlers.connection("reconnecting");
    if (this.#source.readyState !== EventSource.CLOSED) return;
    this.#timer = setTimeout(() => this.#again(), this.#delay);
    this.#delay = Math.min(2 * this.#delay, LONGEST_DELAY_MS);
  }

  async #again() {
    this.#refusals += 1;
    try {
      const job = await readJob(this.id);
      if (this.#stopped) return;
      this.handlers.job(job);
      if (isFinal(job) && this.#refusals > MOST_REFUSALS) this.#settled();
    } catch (problem) {
      if (problem.status === 404 || problem.status === 401) {
        this.stop();
        this.handlers.lost(problem);
        return;
      }
    }
    if (!this.#stopped) this.connect();
  }

  /** The gateway answers, the job is over, yet no events: they have expired, or all were seen. */
  #settled() {
    this.stop();
    this.handlers.connection("open");
  }
}
