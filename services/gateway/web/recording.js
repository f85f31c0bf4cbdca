// A recording as the page knows it: an upload from here, a job in the gateway, or both.

import { worthRetrying } from "./problem.js";
import { isFinal, statusOf } from "./status.js";

/** Sends "change" whenever its upload or its job changes. */
export class Recording extends EventTarget {
  job = null;
  id = null;
  upload = null;

  static ofJob(job) {
    const recording = new Recording();
    recording.learn(job);
    return recording;
  }

  static ofUpload(upload) {
    const recording = new Recording();
    recording.upload = upload;
    upload.addEventListener("change", () => recording.#uploadChanged());
    return recording;
  }

  get name() {
    return this.job?.name ?? this.upload?.file.name ?? "";
  }

  get status() {
    return statusOf(this.job, this.upload);
  }

  /** Whether anything may still happen to it by itself. */
  get active() {
    if (this.upload?.active) return true;
    return this.job ? !isFinal(this.job) : false;
  }

  get uploading() {
    return this.upload?.active ?? false;
  }

  /** Whether its file may be sent again. */
  get retryable() {
    if (this.job && isFinal(this.job) && this.job.status !== "interrupted") return false;
    const { state, problem } = this.upload ?? {};
    return state === "stopped" || (state === "failed" && worthRetrying(problem));
  }

  /** Whether it has stretches without text that may be tried again. */
  get fillable() {
    return Boolean(this.job && isFinal(this.job) && this.job.progress?.gaps);
  }

  /** What stands behind # in the page's address. */
  get address() {
    return this.id ?? this.upload.key;
  }

  matches(address) {
    return address === this.id || address === this.upload?.key;
  }

  /** Take in what the gateway says of the job. */
  learn(job) {
    if (this.#outdated(job)) return;
    this.job = { ...this.job, ...job }; // a list's job has no progress
    this.id = job.id;
    const { state, sent, file } = this.upload ?? {};
    if (isFinal(job) && state === "sending" && sent < file.size) this.upload.stop(); // in vain
    this.#changed();
  }

  #outdated(job) {
    if (this.uploading && job.status === "interrupted") return true; // that was the attempt before
    if (this.job?.id !== job.id || job.attempt > this.job.attempt) return false;
    if (job.attempt < this.job.attempt) return true; // before its gaps were tried again
    return isFinal(this.job) && this.job.status !== "interrupted" && !isFinal(job);
  }

  #uploadChanged() {
    const { job, state } = this.upload;
    if (job && (job.id !== this.job?.id || state === "stored")) this.learn(job);
    else if (!job && state === "waiting") this.job = null;
    this.#changed();
  }

  #changed() {
    this.dispatchEvent(new Event("change"));
  }
}
