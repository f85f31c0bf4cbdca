// The gateway's HTTP API (docs/api.md), as far as the page uses it.

import { Problem, problemFrom } from "./problem.js";

export const PAGE_SIZE = 30;

export const me = () => read("/v1/me");
export const job = (id) => read(jobUrl(id));
export const hotwords = () => read("/api/hotwords");

/** The list that goes with uploads that name none. */
export const DEFAULT_LIST = "default";

/** What lists the user can name, without their words: one's own, then the shared ones. */
export const hotwordLists = async () => (await read("/v1/hotwords")).lists;

/** A list in full; `as` is `{version}`, or `{format, download}`. */
export const hotwordList = (list, as = {}) => read(listUrl(list, as));

/** Where a list is had as a file, `csv` or `txt`. */
export const exportUrl = (list, format) => listUrl(list, { format });

/** Write a list's next version, if it still is at `list.version`; 0 stands for a list that is not there. */
export async function putHotwordList(list, body, type) {
  const headers = { "Content-Type": type, ...(list.version ? { "If-Match": `"${list.version}"` } : { "If-None-Match": "*" }) };
  return (await send(listUrl(list), { method: "PUT", headers, body })).json();
}

export const eraseHotwordList = (list) => send(listUrl(list), { method: "DELETE" });

/** One page of jobs, newest first: `{jobs, next}`. */
export function jobs(after = null) {
  const cursor = after ? `&after=${encodeURIComponent(after)}` : "";
  return read(`/v1/jobs?limit=${PAGE_SIZE}${cursor}`);
}

/** The job that an upload with this key has made, or null while there is none. */
export async function jobOfUpload(key) {
  const found = await read(`/v1/jobs?idempotency_key=${encodeURIComponent(key)}`);
  return found.jobs[0] ?? null;
}

/** Cancel a job that still runs, then erase its audio and text. */
export const erase = (id) => send(jobUrl(id), { method: "DELETE" });

/** End a job that waits or runs, and keep what was transcribed; the job as it is from then on. */
export async function cancel(id) {
  return (await send(`${jobUrl(id)}/cancel`, { method: "POST" })).json();
}

/** What the user's webhooks are signed with: `{secret, created_at, previous_until}`. */
export const signingSecret = () => read("/v1/webhooks/secret");

export async function changeSigningSecret() {
  return (await send("/v1/webhooks/secret", { method: "POST" })).json();
}

/** Have the stretches without text tried again; the job as it is from then on. */
export async function fillGaps(id) {
  return (await send(`${jobUrl(id)}/retry`, { method: "POST" })).json();
}

export async function saveHotwords(config) {
  const headers = { "Content-Type": "application/json" };
  const answer = await send("/api/hotwords", { method: "POST", headers, body: JSON.stringify(config) });
  return (await answer.json()).config;
}

/** The user's personal access tokens, the newest first, and what is possible: `{tokens, limits}`. */
export const tokens = () => read("/v1/tokens");

/** A new token, with its text, which nobody can get again. */
export async function makeToken(wanted) {
  const headers = { "Content-Type": "application/json" };
  return (await send("/v1/tokens", { method: "POST", headers, body: JSON.stringify(wanted) })).json();
}

export const revokeToken = (id) => send(`/v1/tokens/${encodeURIComponent(id)}`, { method: "DELETE" });
export const revokeTokens = () => send("/v1/tokens", { method: "DELETE" });

/** Where a job's events come from, continued after the event `after`. */
export function eventsUrl(id, after = null) {
  return `${jobUrl(id)}/events${after ? `?after=${encodeURIComponent(after)}` : ""}`;
}

/** Where a transcript is downloaded as `text`, `srt`, `vtt` or `json`. */
export const downloadUrl = (id, format) => `${jobUrl(id)}/transcript?format=${format}&download=1`;

/** Leave for the log-in form; nothing on this page works without it. */
export function goToLogin() {
  location.assign("/login");
}

function listUrl({ name, shared }, query = {}) {
  const asked = new URLSearchParams(shared ? { ...query, shared: true } : query).toString();
  return `/v1/hotwords/${encodeURIComponent(name)}${asked ? `?${asked}` : ""}`;
}

const jobUrl = (id) => `/v1/jobs/${encodeURIComponent(id)}`;

async function read(path) {
  return (await send(path)).json();
}

async function send(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, { credentials: "same-origin", cache: "no-store", ...options });
  } catch {
    throw new Problem({ code: "network" });
  }
  if (answer.status === 401 || (answer.redirected && new URL(answer.url).pathname === "/login")) {
    goToLogin();
    throw new Problem({ code: "unauthorized", status: 401 });
  }
  if (!answer.ok) throw problemFrom(answer.status, await answer.text(), answer.headers.get("Retry-After"));
  return answer;
}
