// One file on its way to the gateway, and the job that it becomes.

import { goToLogin, jobOfUpload } from "./api.js";
import { Problem, problemFrom } from "./problem.js";
import { Rate } from "./rate.js";

const FIND_JOB_MS = 700; // the job exists once the first 512 KB are stored
const PATIENT_CODES = [
  "slow_down",
  "too_many_uploads",
  "too_many_jobs",
  "uploads_too_fast",
  "storage_full",
  "broker_unavailable",
  "unavailable",
  "upload_in_progress",
];
const TRIES = 6;
const DEFAULT_WAIT_SECONDS = 5;

/**
 * Sends "change" whenever something about it changes. `state` goes from waiting over sending to
 * stored, failed or stopped; `job` is set as soon as the gateway knows the upload's job.
 */
export class Upload extends EventTarget {
  state = "waiting";
  sent = 0;
  job = null;
  problem = null;
  tries = 0;
  rate = new Rate();
  key = uuid();
  #request = null;
  #timer = null;
  #wake = null;

  /** `options` are [name, value] pairs of form fields; they go before the file. */
  constructor(file, options) {
    super();
    this.file = file;
    this.options = options;
  }

  get active() {
    return this.state === "waiting" || this.state === "sending";
  }

  /** Send the file; resolves when there is nothing more to do, however it went. */
  async run() {
    for (this.tries = 1; this.state === "waiting"; this.tries += 1) {
      this.#become("sending", { sent: 0, problem: null, rate: new Rate() });
      const problem = await this.#attempt();
      if (!problem || this.state !== "sending") break;
      if (this.tries >= TRIES || !PATIENT_CODES.includes(problem.code)) this.#become("failed", { problem });
      else await this.#pause(problem);
    }
  }

  /** Begin again after a failure, under the same key: the gateway takes it as the same job. */
  reset() {
    this.#become("waiting", { problem: null, sent: 0, job: null });
  }

  /** Send nothing more; what has arrived stays a job. */
  stop() {
    if (!this.active) return;
    this.#become("stopped");
    this.#request?.abort();
    clearTimeout(this.#timer);
    this.#wake?.();
  }

  async #attempt() {
    if (!this.file.size) return new Problem({ code: "empty_file" });
    const finding = new AbortController();
    this.#findJob(finding.signal);
    const answer = await this.#post();
    finding.abort();
    if (this.state !== "sending") return null;
    if (answer.status === 401) goToLogin();
    if (answer.status === 200 || answer.status === 201) {
      this.#become("stored", { sent: this.file.size, job: JSON.parse(answer.body) });
      return null;
    }
    if (answer.status) return problemFrom(answer.status, answer.body, answer.retryAfter);
    return this.#whyBroken();
  }

  /** A gateway that refuses a file early closes the connection; its job then knows the reason. */
  async #whyBroken() {
    try {
      const job = await jobOfUpload(this.key);
      this.job = job ?? this.job;
      return new Problem(job?.error ?? { code: "network" });
    } catch {
      return new Problem({ code: "network" });
    }
  }

  #post() {
    return new Promise((resolve) => {
      const request = (this.#request = new XMLHttpRequest());
      request.open("POST", "/v1/jobs");
      request.setRequestHeader("Idempotency-Key", this.key);
      request.upload.addEventListener("progress", (event) => this.#progress(event.loaded));
      request.addEventListener("loadend", () =>
        resolve({
          status: request.status,
          body: request.responseText,
          retryAfter: request.status ? request.getResponseHeader("Retry-After") : null,
        }),
      );
      request.send(this.#form());
    });
  }

  #form() {
    const form = new FormData();
    for (const [name, value] of this.options) form.append(name, value);
    form.append("file", this.file, this.file.name);
    return form;
  }

  #progress(loaded) {
    this.sent = Math.min(loaded, this.file.size); // `loaded` counts the form's own bytes too
    this.rate.add(this.sent);
    this.#changed();
  }

  async #findJob(signal) {
    while (!signal.aborted && !this.job) {
      await new Promise((resolve) => setTimeout(resolve, FIND_JOB_MS));
      if (signal.aborted) return;
      const job = await jobOfUpload(this.key).catch(() => null);
      if (job && job.status !== "interrupted" && !signal.aborted) this.#become(this.state, { job });
    }
  }

  async #pause(problem) {
    this.#become("waiting", { problem, sent: 0 });
    const seconds = problem.retryAfter ?? DEFAULT_WAIT_SECONDS;
    await new Promise((resolve) => {
      this.#wake = resolve;
      this.#timer = setTimeout(resolve, seconds * 1000);
    });
  }

  #become(state, changes = {}) {
    Object.assign(this, changes, { state });
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}

/** A random UUID; crypto.randomUUID is missing on plain HTTP. */
function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  const random = crypto.getRandomValues(new Uint8Array(16));
  random[6] = (random[6] & 0x0f) | 0x40;
  random[8] = (random[8] & 0x3f) | 0x80;
  const hex = Array.from(random, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
