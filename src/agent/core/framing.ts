/**
 * Where a body ends: one function for each direction.
 *
 * Owns RFC 9112 section 6, nothing else: no bytes, no header storage. Both readers of it, the parser and the
 * serializer, pass the facts in, so that no other file decides about lengths.
 *
 * @module
 */

import { isToken, trimOws } from "./characters.ts";
import type { ProtocolErrorCode } from "./errors.ts";

/** How the end of a received body is found. */
export type BodyFraming =
  | { readonly kind: "none" }
  | { readonly kind: "length"; readonly length: number }
  | { readonly kind: "chunked" }
  | { readonly kind: "close" };

/** What a response's header section says of its framing. */
export interface FramingFields {
  /** Value of the Content-Length line; undefined: none. */
  readonly contentLength: string | undefined;
  /** Values of all Transfer-Encoding lines, joined by ", "; undefined: none. */
  readonly transferEncoding: string | undefined;
}

/** A head whose framing cannot be trusted. */
export interface FramingFault {
  /** Apart from a framing. */
  readonly kind: "fault";
  /** llhttp's name of the fault. */
  readonly code: ProtocolErrorCode;
  /** What is wrong, in a few words. */
  readonly reason: string;
}

const NONE: BodyFraming = { kind: "none" };
const CHUNKED: BodyFraming = { kind: "chunked" };
const CLOSE: BodyFraming = { kind: "close" };

/**
 * The framing of the body of a final response, or of an interim one (none), by RFC 9112 section 6.3.
 * Content-Length beside Transfer-Encoding has been judged before: here Transfer-Encoding wins (step 3).
 */
export function responseFraming(
  method: string,
  status: number,
  fields: FramingFields,
): BodyFraming | FramingFault {
  // Both fields are judged first, even where the body is absent: a head that lies is not to be believed at all.
  const length = fields.contentLength === undefined ? undefined : parseContentLength(fields.contentLength);
  if (typeof length === "string") return fault("HPE_INVALID_CONTENT_LENGTH", length);
  const coding = fields.transferEncoding === undefined ? undefined : finalCoding(fields.transferEncoding);
  if (coding === "fault") return fault("HPE_INVALID_TRANSFER_ENCODING", "Parameter on the chunked coding");

  // Step 1: HEAD, 1xx, 204, 304 end with the head.
  if (method === "HEAD" || status < 200 || status === 204 || status === 304) return NONE;
  // Step 2: so does a 2xx to CONNECT; what follows is the tunnel's.
  if (method === "CONNECT" && status < 300) return NONE;
  // Steps 3 and 4: Transfer-Encoding overrides Content-Length; without a final "chunked" the close is the end.
  if (coding !== undefined) return coding === "chunked" ? CHUNKED : CLOSE;
  // Steps 5 and 6. A length of 0 is told as such: the body is there, and empty.
  if (length !== undefined) return { kind: "length", length };
  // Step 8 (7 is for requests).
  return CLOSE;
}

function fault(code: ProtocolErrorCode, reason: string): FramingFault {
  return { kind: "fault", code, reason };
}

/**
 * The value of a Content-Length line, or what is wrong with it. Digits alone (RFC 9110 section 8.6): no sign, no
 * list, nothing a lax reader could take for another number. Up to 2^53 - 1, the greatest exact integer; llhttp
 * goes to 2^64 - 1.
 */
export function parseContentLength(value: string): number | string {
  if (value === "") return "Empty Content-Length";
  for (let i = 0; i < value.length; i++) {
    const digit = value.charCodeAt(i) - 0x30;
    if (digit < 0 || digit > 9) return "Invalid character in Content-Length";
  }
  const length = Number(value);
  return length <= Number.MAX_SAFE_INTEGER ? length : "Content-Length overflow";
}

/**
 * The last coding of a Transfer-Encoding list: "chunked", or "other" for anything else, an empty list included.
 * "fault": chunked with a parameter (RFC 9112 section 7.1: to be treated as an error). Empty elements are ignored
 * (RFC 9110 section 5.6.1).
 */
export function finalCoding(list: string): "chunked" | "other" | "fault" {
  if (list === "chunked") return "chunked";
  let last = "";
  for (const element of list.split(",")) {
    const coding = trimOws(element).toLowerCase();
    if (coding !== "") last = coding;
  }
  if (last === "chunked") return "chunked";
  return /^chunked[ \t]*;/.test(last) ? "fault" : "other";
}

/**
 * True where a Transfer-Encoding list may be sent: it ends in "chunked", which stands there once (RFC 9112 section 6.1), and
 * each coding before has a token for a name (RFC 9110 section 10.1.4). A reader may overlook what is none, or read to
 * the close; a sender does not let it choose.
 */
export function isSendableCoding(list: string): boolean {
  if (finalCoding(list) !== "chunked") return false;
  let chunked = 0;
  for (const element of list.split(",")) {
    const coding = trimOws(element.split(";", 1)[0]!);
    if (coding === "" ? trimOws(element) !== "" : !isToken(coding)) return false;
    if (coding.toLowerCase() === "chunked") chunked++;
  }
  return chunked === 1;
}

/** How a request's body is sent. */
export type RequestFraming = "none" | "length" | "chunked";

/** What is known of a request's body before its first byte. */
export interface RequestBodyFacts {
  /** Bytes; 0 with no body at all; undefined: a stream of unknown length. */
  readonly length: number | undefined;
  /** False: the request has no body, not even an empty one. */
  readonly present: boolean;
  /** The user's own Content-Length. */
  readonly contentLength: number | undefined;
  /** The user asked for Transfer-Encoding: chunked. */
  readonly chunked: boolean;
}

/** How the request is framed, and the line that says so. */
export interface RequestFramingPlan {
  /** How the body is sent. */
  readonly framing: RequestFraming;
  /** The Content-Length to send; undefined: no such line. */
  readonly contentLength: number | undefined;
}

/**
 * The framing of a request, RFC 9112 section 6.3 step 7 and RFC 9110 section 8.6 read from the sender's side: never
 * Content-Length and Transfer-Encoding together, and never a body without either.
 */
export function requestFraming(method: string, body: RequestBodyFacts): RequestFramingPlan {
  // Transfer-Encoding overrides Content-Length (RFC 9112 section 6.3), so the user's Content-Length is left out.
  if (body.chunked) return { framing: "chunked", contentLength: undefined };
  if (body.contentLength !== undefined) return lengthPlan(body.contentLength);
  if (!body.present) {
    // RFC 9110 section 8.6: a method that anticipates content says so when there is none.
    return anticipatesBody(method) ? lengthPlan(0) : { framing: "none", contentLength: undefined };
  }
  if (body.length !== undefined) return lengthPlan(body.length);
  return { framing: "chunked", contentLength: undefined };
}

function lengthPlan(length: number): RequestFramingPlan {
  return { framing: "length", contentLength: length };
}

/** False for the methods whose requests have no defined content; Node draws the same line. */
export function anticipatesBody(method: string): boolean {
  switch (method) {
    case "GET":
    case "HEAD":
    case "DELETE":
    case "OPTIONS":
    case "TRACE":
    case "CONNECT":
      return false;
    default:
      return true;
  }
}
