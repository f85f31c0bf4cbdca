// The open recording: follows its job and shows everything that comes.

import { job as readJob } from "./api.js";
import { Actions } from "./actions.js";
import { part } from "./element.js";
import { follow } from "./events.js";
import { percent } from "./format.js";
import { say, translate } from "./i18n.js";
import { Head } from "./head.js";
import { explain } from "./problem.js";
import { Progress } from "./progress.js";
import { isFinal, reason } from "./status.js";
import { Transcript } from "./transcript.js";

/** Shows one recording at a time; `on` has `retry`, `fill`, `erase` and `lost`, each for a recording. */
export class Pane {
  recording = null;
  #stop = null;
  #attempt = 0;
  #progress = new Progress();
  #language = null;
  #said = null;
  #scheduled = false;

  constructor(root, announcer, on) {
    Object.assign(this, { root, announcer, on });
    this.head = new Head(root);
    this.none = part(root, ".job-none");
    this.body = part(root, ".job");
    const [scroller, jump] = [part(root, ".transcript"), part(root, ".jump")];
    this.transcript = new Transcript(scroller, part(root, ".chunks"), jump);
    this.hint = part(root, ".transcript-hint");
    this.actions = new Actions(root, {
      copy: () => this.transcript.text,
      retry: () => (this.recording.retryable ? on.retry(this.recording) : on.fill(this.recording)),
      erase: () => on.erase(this.recording),
    });
    this.body.addEventListener("click", ({ target }) => {
      if (target.closest(".gap-retry")) on.fill(this.recording);
    });
    document.addEventListener("languagechange", () => this.#setTitle());
  }

  /** Show `recording`, or nothing for null. */
  open(recording) {
    this.recording = recording;
    this.#said = null;
    this.#restart();
    this.none.hidden = recording !== null;
    this.body.hidden = recording === null;
    this.root.classList.toggle("open", recording !== null);
    this.changed(recording);
  }

  /** The recording has changed; the page tells, for it knows of all. */
  changed(recording) {
    if (recording !== this.recording) return;
    if (recording && !recording.job && this.#stop) this.#restart(); // sent again from the start
    if (this.#stop && recording.job.attempt > this.#attempt) this.#forgetProgress();
    if (recording?.job && !this.#stop) this.#follow(recording);
    this.#scheduleRender();
  }

  #restart() {
    this.#forgetProgress();
    this.#language = null;
    this.transcript.clear();
  }

  /** Its gaps are tried again: the text stays, and the events tell how far it is. */
  #forgetProgress() {
    this.#stop?.();
    this.#stop = null;
    this.#progress = new Progress();
    this.head.remark(null);
    this.head.reconnecting(false);
  }

  #follow(recording) {
    this.#attempt = recording.job.attempt;
    if (isFinal(recording.job)) this.transcript.readFromStart();
    this.#stop = follow(recording.id, {
      job: (job) => this.#heardJob(recording, job),
      cut: (event) => this.#grew(() => this.transcript.cut(event)),
      text: (event) => this.#heardText(event),
      gap: (event) => this.#grew(() => this.transcript.gap(event), event),
      end: (event) => this.#heardEnd(recording, event),
      connection: (state) => this.head.reconnecting(state === "reconnecting"),
      lost: (problem) => problem.status === 404 && this.on.lost(recording),
    });
  }

  #heardJob(recording, job) {
    if (job.attempt < this.#attempt) return;
    this.#progress.job(job);
    if (job.notice) this.head.remark(() => explain(job.notice));
    recording.learn(job);
  }

  #heardText(event) {
    this.#language ??= event.language;
    if (event.notices?.length) this.head.remark(() => event.notices.join(" "));
    this.#tellDropped(event.hotwords?.dropped ?? []);
    let news = false;
    this.#grew(() => (news = this.transcript.heard(event)), event);
    if (news && this.recording.active) this.announcer.news(event.text);
  }

  async #heardEnd(recording, event) {
    this.#progress.end(event);
    this.transcript.end(event);
    if (event.notice) this.head.remark(() => explain(event.notice));
    recording.learn({ ...recording.job, status: event.status, duration: event.duration, error: event.error });
    const job = await readJob(recording.id).catch(() => null);
    if (job) recording.learn(job);
  }

  #grew(change, chunk = null) {
    change();
    if (chunk) this.#progress.chunk(chunk);
    this.#scheduleRender();
  }

  #tellDropped(dropped) {
    if (!dropped.length) return;
    const words = dropped.slice(0, 5).map(({ word }) => word).join(", ");
    this.head.remark("job.hotwords_dropped", { count: dropped.length, words, why: dropped[0].reason });
  }

  /** At most once a frame: a finished recording replays thousands of events at once. */
  #scheduleRender() {
    if (this.#scheduled) return;
    this.#scheduled = true;
    requestAnimationFrame(() => {
      this.#scheduled = false;
      this.#render();
    });
  }

  #render() {
    this.#setTitle();
    if (!this.recording) return;
    const hasText = !this.transcript.empty;
    this.head.render(this.recording, this.#progress, this.#language);
    this.actions.render(this.recording, hasText);
    this.body.classList.toggle("fillable", this.recording.fillable);
    this.#renderHint(hasText);
    this.#announceStatus();
  }

  #renderHint(hasText) {
    const { active, status } = this.recording;
    this.hint.hidden = hasText || this.transcript.hasItems || !(active || status.name === "completed");
    say(this.hint, active ? "transcript.soon" : "transcript.empty");
  }

  #announceStatus() {
    const { name, problem } = this.recording.status;
    if (name === this.#said) return;
    if (this.#said) this.announcer.now(translate(`status.${name}.long`, reason(problem)));
    this.#said = name;
  }

  #setTitle() {
    const share = this.recording?.active ? this.#progress.percent : null;
    const parts = [share === null ? null : percent(share), this.recording?.name, translate("app.name")];
    document.title = parts.filter(Boolean).join(" · ");
  }
}
