/**
 * Trailer fields of an outgoing message as text. Owns Node's rules for addTrailers(): what a header's value may not hold, a
 * trailer's may not either. Pure.
 *
 * @module
 */

import { isFieldValue } from "./core/characters.ts";
import { ArgumentTypeError } from "./core/errors.ts";
import { headerText } from "./core/request_lines.ts";
import { validateHeaderName } from "./outgoing_message_headers.ts";

/** Names that lead a server astray behind a body: framing and routing (RFC 9110 section 6.5.1). */
const FORBIDDEN: ReadonlySet<string> = new Set(["content-length", "host", "transfer-encoding"]);

/** The lines, each ended by CRLF. ERR_INVALID_HTTP_TOKEN, ERR_INVALID_CHAR, ERR_HTTP_TRAILER_INVALID. */
export function renderTrailers(
  headers: Readonly<Record<string, unknown>> | readonly (readonly [string, unknown])[],
  unique: ReadonlySet<string> | undefined,
  isLenient: boolean = false,
): string {
  const fields: Iterable<readonly [string, unknown]> = Array.isArray(headers)
    ? headers
    : Object.entries(headers);
  let text = "";
  for (const [name, value] of fields) {
    validateHeaderName(name, "Trailer name");
    if (FORBIDDEN.has(name.toLowerCase())) {
      throw new ArgumentTypeError("ERR_HTTP_TRAILER_INVALID", `Cannot send "${name}" as a trailer`);
    }
    if (!Array.isArray(value)) text += line(name, value, isLenient);
    else if (unique?.has(name.toLowerCase())) text += line(name, value.join("; "), isLenient);
    else for (const each of value) text += line(name, each, isLenient);
  }
  return text;
}

function line(name: string, given: unknown, isLenient: boolean): string {
  // As in Node, where undefined has no error here.
  const value = given === undefined ? "undefined" : headerText(name, given);
  if (!isFieldValue(value, isLenient)) {
    throw new ArgumentTypeError("ERR_INVALID_CHAR", `Invalid character in trailer content ["${name}"]`);
  }
  return `${name}: ${value}\r\n`;
}
