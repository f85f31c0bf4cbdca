// The head of the open recording: its name, its state in words, how far upload and transcription are.

import { Bar } from "./bar.js";
import { part } from "./element.js";
import { bytes, clock, day, duration, percent } from "./format.js";
import { currentLanguage, say, translate } from "./i18n.js";
import { isFinal, reason } from "./status.js";

/** Shows a recording and its progress. */
export class Head {
  constructor(root) {
    this.name = part(root, ".job-name");
    this.facts = part(root, ".job-facts");
    this.status = part(root, ".job-status");
    this.notice = part(root, ".job-notice");
    this.connection = part(root, ".job-connection");
    this.uploadBar = new Bar(part(root, ".bar.upload"));
    this.textBar = new Bar(part(root, ".bar.text"));
  }

  render(recording, progress, language) {
    const { name, tone, problem } = recording.status;
    this.name.textContent = recording.name;
    say(this.facts, () => factsText(recording, language));
    this.status.dataset.tone = tone;
    say(this.status, `status.${name}.long`, reason(problem));
    this.#renderUpload(recording);
    this.#renderText(recording, progress);
  }

  /** A sentence under the state: something to know about a recording that went well. */
  remark(key, values) {
    this.notice.hidden = !key;
    if (key) say(this.notice, key, values);
  }

  reconnecting(yes) {
    this.connection.hidden = !yes;
  }

  #renderUpload({ job, upload, uploading }) {
    const { bytes: stored, total_bytes: announced } = job?.upload ?? {};
    const [sent, total] = uploading ? [upload.sent, upload.file.size] : [stored, announced];
    const receiving = uploading || job?.upload.state === "receiving";
    if (!receiving || upload?.state === "waiting" || (job && isFinal(job))) return this.uploadBar.hide();
    const share = total ? Math.min(100, (100 * sent) / total) : null;
    const values = {
      sent: () => bytes(sent),
      total: () => (total ? bytes(total) : "?"),
      speed: () => (uploading ? speedText(upload) : ""),
    };
    return this.uploadBar.show(share, "bar.upload", values);
  }

  #renderText({ job }, progress) {
    if (!job || isFinal(job)) return this.textBar.hide();
    const share = progress.percent;
    const values = {
      percent: percent(share ?? 0),
      reached: clock(progress.reached),
      outlook: () => outlookText(job),
    };
    if (share === null || !progress.total) return this.textBar.show(share, "bar.text_open", values);
    return this.textBar.show(share, "bar.text", { ...values, total: clock(progress.total) });
  }
}

function speedText({ rate, file, sent }) {
  const speed = rate.perSecond;
  if (!speed) return "";
  const left = rate.secondsFor(file.size - sent);
  const values = { speed: bytes(speed), left: duration(left) };
  return translate(sent < file.size ? "bar.speed" : "bar.speed_done", values);
}

function outlookText({ position, seconds_left: left }) {
  const place = position ? translate("bar.position", { position }) : "";
  return place + (left === null || left === undefined ? "" : translate("bar.left", { left: duration(left) }));
}

function factsText({ job, upload }, language) {
  const size = job?.upload.bytes || upload?.file.size;
  const facts = [
    job ? day(job.created_at) : null,
    job?.duration ? clock(job.duration) : null,
    size ? bytes(job?.upload.total_bytes ?? size) : null,
    language ? languageName(language) : null,
  ];
  return facts.filter(Boolean).join(" · ");
}

function languageName(code) {
  try {
    const locale = currentLanguage() === "zh" ? "zh-CN" : "en";
    return new Intl.DisplayNames([locale], { type: "language" }).of(code);
  } catch {
    return code; // not a code that the browser knows
  }
}
