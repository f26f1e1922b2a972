/**
 * Retry-After (RFC 9110 section 10.2.3): when a server that cannot answer now wants to be asked again. Owns the field's two
 * forms and which responses it is heeded on. Pure: knows no clock, a date is held against the response's own.
 *
 * @module
 */

import type { IncomingHeaders } from "./core/headers.ts";

/** How long to wait before asking again, ms; undefined: the response does not ask for it. */
export function retryAfterMs(status: number, headers: IncomingHeaders): number | undefined {
  // RFC 9110 section 15.6.4, RFC 6585 section 4.
  if (status !== 429 && status !== 503) return undefined;
  const value = headers["retry-after"];
  if (typeof value !== "string") return undefined;
  if (/^\d{1,9}$/.test(value)) return Number(value) * 1000;
  const then = secondsOf(value);
  const now = typeof headers["date"] === "string" ? secondsOf(headers["date"]) : undefined;
  return then === undefined || now === undefined ? undefined : Math.max(0, then - now) * 1000;
}

const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Seconds of an IMF-fixdate (RFC 9110 section 5.6.7) since 1 March 0000; the two obsolete forms are not read. */
function secondsOf(date: string): number | undefined {
  const parts = /^\w{3}, (\d\d) (\w{3}) (\d{4}) (\d\d):(\d\d):(\d\d) GMT$/.exec(date);
  if (parts === null) return undefined;
  const [, day, month, year, hours, minutes, seconds] = parts;
  const index = MONTHS.indexOf(month!);
  if (index === -1) return undefined;
  // Years begin in March, so that the leap day is the last of its year.
  const fromMarch = (index + 10) % 12;
  const y = Number(year) - (index < 2 ? 1 : 0);
  const leapDays = Math.floor(y / 4) - Math.floor(y / 100) + Math.floor(y / 400);
  const days = 365 * y + leapDays + Math.floor((153 * fromMarch + 2) / 5) + Number(day) - 1;
  return ((days * 24 + Number(hours)) * 60 + Number(minutes)) * 60 + Number(seconds);
}
