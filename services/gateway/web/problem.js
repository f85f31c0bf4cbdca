// What went wrong, in a sentence a person understands, with what to do about it.

import { currentLanguage, hasText, translate } from "./i18n.js";

/** An answer that was not a success; `retryAfter` in seconds where the server named one. */
export class Problem extends Error {
  constructor({ code, message = "", status = 0, retryAfter = null }) {
    super(message);
    Object.assign(this, { code, status, retryAfter });
  }
}

const HOPELESS = [
  "empty_file",
  "too_large",
  "unsupported_media_type",
  "invalid_option",
  "invalid_hotwords",
  "different_content",
  "not_audio",
  "playlist",
  "no_sound_track",
  "unknown_codec",
  "too_many_channels",
];
const CLOCK = /\d+:\d\d(:\d\d)?/;

/** Whether sending the same file again may go better. */
export const worthRetrying = (problem) => !HOPELESS.includes(problem?.code);

/** A problem from an answer's status and its body, JSON or not. */
export function problemFrom(status, body, retryAfter) {
  const error = parsed(body)?.error;
  const told = typeof error === "string" ? { message: error } : (error ?? {});
  const code = told.code ?? (status >= 500 ? "unavailable" : "refused");
  return new Problem({ code, message: told.message, status, retryAfter: Number(retryAfter) || null });
}

/** The sentence for `{code, message}`: the server's own in English, ours elsewhere and where it has none. */
export function explain({ code, message = "" }) {
  const key = `problem.${code}`;
  if (message && (currentLanguage() === "en" || !hasText(key))) return capitalized(message);
  const at = message.match(CLOCK)?.[0] ?? "";
  return translate(hasText(key) ? key : "problem.unknown", { code, message, at });
}

const capitalized = (text) => text[0].toUpperCase() + text.slice(1);

function parsed(body) {
  try {
    return JSON.parse(body);
  } catch {
    return null;
  }
}
