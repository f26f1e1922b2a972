/**
 * Received header fields as the objects of Node's IncomingMessage.
 *
 * Owns what is different from the lean face's (`core/headers.ts`, where the rules for repeated fields are): those have no
 * prototype; Node's have one, and are compared with literals. Pure.
 *
 * @module
 */

import { addField } from "./core/headers.ts";

/** Lower-cased names with their values; `set-cookie` is always an array. */
export interface IncomingHttpHeaders {
  [name: string]: string | string[] | undefined;
  "set-cookie"?: string[];
}

/** Node's `headers` of a flat list of names and values. */
export function joinHeaders(raw: readonly string[], joinsDuplicates: boolean): IncomingHttpHeaders {
  const headers: IncomingHttpHeaders = {};
  for (let i = 0; i + 1 < raw.length; i += 2) {
    addHeaderLine(headers, raw[i]!.toLowerCase(), raw[i + 1]!, joinsDuplicates);
  }
  return headers;
}

/** Adds one field; `name` is in lower case. */
export function addHeaderLine(
  headers: IncomingHttpHeaders,
  name: string,
  value: string,
  joinsDuplicates: boolean,
): void {
  // A setter of Object.prototype, not a field: a value set there would be lost, or worse.
  if (name === "__proto__") return;
  addField(headers, name, value, joinsDuplicates);
}
