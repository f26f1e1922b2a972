/**
 * The lines of a request's head, one at a time: how a value becomes text, and what the text of those says that decide
 * something.
 *
 * Owns the rules that every writer of a head has; the order of the lines, and what is added, is each writer's. Pure.
 *
 * @module
 */

import { trimOws } from "./characters.ts";
import { invalidHeaderValue, missingHeaderValue } from "./errors.ts";
import { parseContentLength } from "./framing.ts";

/** The one conversion of a header's value. ERR_HTTP_INVALID_HEADER_VALUE for undefined and, where Node has no code, a symbol. */
export function headerText(name: string, value: unknown): string {
  if (typeof value === "string") return value;
  if (value === undefined) throw missingHeaderValue(name);
  if (typeof value === "symbol") throw invalidHeaderValue(name, "it is a symbol");
  return `${value as string}`;
}

/** True where the comma-separated `list` has `token`, in any case, which is given in lower case. */
export function hasToken(list: string, token: string): boolean {
  if (list.length === token.length) return list === token || list.toLowerCase() === token;
  return list.length > token.length &&
    list.toLowerCase().split(",").some((element) => trimOws(element) === token);
}

/**
 * False for a name that says nothing to a writer, by its length: Host, Expect, Trailer, Connection, Keep-Alive, Content-Length
 * and Transfer-Encoding have 4, 6, 7, 10, 10, 14 and 17 letters.
 */
export function mayDecide(name: string): boolean {
  switch (name.length) {
    case 4:
    case 6:
    case 7:
    case 10:
    case 14:
    case 17:
      return true;
    default:
      return false;
  }
}

/**
 * The bytes that a Content-Length line announces. Throws ERR_HTTP_INVALID_HEADER_VALUE for what is no number and, where one
 * came `before`, for another.
 */
export function readContentLength(name: string, value: string, before: number | undefined): number {
  const length = parseContentLength(trimOws(value));
  if (typeof length === "string") throw invalidHeaderValue(name, "it is not a number of bytes");
  if (before !== undefined && before !== length) throw invalidHeaderValue(name, "there are two of it");
  return length;
}

/** The codings of a Transfer-Encoding line and of those `before` it, as one list. */
export function joinCodings(before: string | undefined, value: string): string {
  return before === undefined ? value : `${before}, ${value}`;
}
