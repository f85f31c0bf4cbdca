// How far a recording has come, in words a person understands.

import { explain } from "./problem.js";

const FINAL = ["completed", "failed", "interrupted", "cancelled"];

export const isFinal = (job) => FINAL.includes(job.status);

/**
 * The state of a recording known by its job, its upload from this page, or both:
 * `{name, tone, problem}`, where `status.<name>` and `status.<name>.long` are texts and `tone` is a colour.
 */
export function statusOf(job, upload = null) {
  if (upload && upload.state !== "stored" && !(job && isFinal(job))) return uploadStatus(upload);
  if (!job) return { name: "queued", tone: "active", problem: null };
  if (job.status === "completed") return { name: "completed", tone: "good", problem: job.error };
  if (isFinal(job)) return { name: job.status, tone: toneOf(job), problem: job.error };
  if (job.upload.state === "receiving") return { name: "receiving", tone: "active", problem: null };
  return { name: job.status, tone: "active", problem: null };
}

/** Put the reason, or nothing, into values for `say`. */
export const reason = (problem) => ({ reason: () => (problem ? explain(problem) : "") });

function uploadStatus(upload) {
  if (upload.state === "failed") return { name: "failed_upload", tone: "bad", problem: upload.problem };
  if (upload.state === "stopped") return { name: "stopped", tone: "warn", problem: null };
  if (upload.state === "waiting") {
    return { name: upload.problem ? "retrying" : "waiting", tone: "calm", problem: upload.problem };
  }
  return { name: upload.sent >= upload.file.size ? "storing" : "receiving", tone: "active", problem: null };
}

const toneOf = (job) => (job.status === "failed" ? "bad" : "warn");
