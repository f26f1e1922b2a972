/**
 * Received header fields as the objects of Node's IncomingMessage.
 *
 * Owns the rules for repeated fields (Node's http document, "message.headers"). `core/headers.ts` has them for the lean
 * faces, whose objects have no prototype; Node's have one, and are compared with literals. Pure.
 *
 * @module
 */

import { FIRST_WINS } from "./core/headers.ts";

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
  if (name === "set-cookie") {
    const cookies = headers["set-cookie"];
    if (cookies === undefined) headers["set-cookie"] = [value];
    else cookies.push(value);
    return;
  }
  const present = Object.hasOwn(headers, name) ? headers[name] as string | undefined : undefined;
  if (present === undefined) headers[name] = value;
  else if (name === "cookie") headers[name] = `${present}; ${value}`;
  else if (joinsDuplicates || !FIRST_WINS.has(name)) headers[name] = `${present}, ${value}`;
}

/** Node's `headersDistinct` of a flat list of names and values: an object without a prototype. */
export function distinctHeaders(raw: readonly string[]): Record<string, string[] | undefined> {
  const headers: Record<string, string[] | undefined> = Object.create(null);
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const name = raw[i]!.toLowerCase();
    const values = headers[name];
    if (values === undefined) headers[name] = [raw[i + 1]!];
    else values.push(raw[i + 1]!);
  }
  return headers;
}
