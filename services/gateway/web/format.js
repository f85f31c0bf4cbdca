// Numbers as people read them: clock times, sizes, durations, dates, in the page's language.

import { currentLanguage, translate } from "./i18n.js";

const UNITS = ["B", "kB", "MB", "GB", "TB"];

/** Seconds as a position in a recording: 0:07, 12:31, 1:02:03. */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  const tail = String(whole % 60).padStart(2, "0");
  return hours ? `${hours}:${String(minutes).padStart(2, "0")}:${tail}` : `${minutes}:${tail}`;
}

/** Seconds as the machine-readable value of a <time> element. */
export const isoDuration = (seconds) => `PT${Math.max(0, seconds).toFixed(2)}S`;

/** A size with a decimal unit: 14.4 MB. */
export function bytes(count) {
  let [value, unit] = [count, 0];
  while (value >= 999.5 && unit < UNITS.length - 1) [value, unit] = [value / 1000, unit + 1];
  const digits = unit && value < 99.5 ? 1 : 0;
  return `${value.toLocaleString(locale(), { maximumFractionDigits: digits })} ${UNITS[unit]}`;
}

/** Seconds as a length of time in words: 45 s, 12 min, 1 h 5 min. */
export function duration(seconds) {
  const whole = Math.max(1, Math.round(seconds));
  if (whole < 60) return translate("time.seconds", { seconds: whole });
  const minutes = Math.round(whole / 60);
  if (minutes < 60) return translate("time.minutes", { minutes });
  return translate("time.hours", { hours: Math.floor(minutes / 60), minutes: minutes % 60 });
}

/** An ISO date as day and time; the year only where it is not this one. */
export function day(iso) {
  const date = new Date(iso);
  const year = date.getFullYear() === new Date().getFullYear() ? undefined : "numeric";
  const parts = { year, month: "short", day: "numeric", hour: "numeric", minute: "2-digit" };
  return date.toLocaleString(locale(), parts);
}

export const percent = (share) => `${Math.floor(share)}%`;

const locale = () => (currentLanguage() === "zh" ? "zh-CN" : "en");
