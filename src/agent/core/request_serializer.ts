/**
 * A request to bytes: the head as one string, the framing decided before its first byte.
 *
 * Owns what may be sent: every value is converted to a string once and what was converted is checked, so that no
 * toString() can show the check one text and the wire another. Must not know sockets, or where the body comes from.
 * Messages never repeat a header's value.
 *
 * @module
 */

import { isFieldValue, isRequestTarget, isToken } from "./characters.ts";
import {
  ArgumentTypeError,
  contentLengthMismatch,
  invalidArgType,
  invalidArgValue,
  invalidHeaderContent,
  invalidHeaderValue,
  invalidToken,
  unescapedCharacters,
} from "./errors.ts";
import { isSendableCoding, type RequestFraming, requestFraming } from "./framing.ts";
import { encodeLatin1, encodeLatin1With } from "./latin1.ts";
import { hasToken, headerText, joinCodings, mayDecide, readContentLength } from "./request_lines.ts";

/**
 * Headers in any form: an object, pairs, a flat array of names and values, Headers, Map, or any iterable of pairs. A value is
 * converted by `String()`; an array makes one line an element (cookie: one in all).
 */
export type HeadersInput =
  | Readonly<Record<string, unknown>>
  | readonly unknown[]
  | Iterable<readonly [string, unknown]>;

/** The Connection line sent where the user gave none; "omit": no line, which means keep-alive in HTTP/1.1. */
export type ConnectionLine = "keep-alive" | "close" | "omit";

/** A request before it is bytes. */
export interface RequestFacts {
  /** A token, sent as it is. */
  readonly method: string;
  /** Origin, absolute, authority or asterisk form (RFC 9112 section 3.2), sent as it is. */
  readonly target: string;
  /** Value of the Host line where the user gave none; undefined: no Host line then. */
  readonly host?: string | undefined;
  /** The user's headers. */
  readonly headers?: HeadersInput | undefined;
  /**
   * Bytes of the body; "none": there is no body; "stream": as many as will come. Default "none".
   */
  readonly body?: number | "none" | "stream" | undefined;
  /** Default "keep-alive". */
  readonly connection?: ConnectionLine | undefined;
  /** Add `Expect: 100-continue` where there is a body and no Expect line. Default false. */
  readonly expectContinue?: boolean | undefined;
  /**
   * Throw where the user's Content-Length is not the body's known length. Default true; false: the http face, for
   * Node documents that it does not check.
   */
  readonly strictContentLength?: boolean | undefined;
}

/** A request head, ready to be encoded. */
export interface RequestHead {
  /** Request line, header section and the empty line: latin1 characters alone. */
  readonly text: string;
  /** How the body is sent; "none": nothing follows the head. */
  readonly framing: RequestFraming;
  /** The Content-Length sent; undefined: none was. */
  readonly contentLength: number | undefined;
  /** `Connection: close` is sent, by the user's wish or ours: the connection must not be used again (RFC 9112 section 9.6). */
  readonly connectionClose: boolean;
  /** `Expect: 100-continue` is sent. */
  readonly expectContinue: boolean;
}

/** Decides the framing and renders the head; throws ArgumentTypeError with Node's codes. */
export function serializeRequest(request: RequestFacts): RequestHead {
  // Once: a second reading could have another answer, which nobody has checked.
  const { method, target } = request;
  if (typeof method !== "string" || !isToken(method)) throw invalidToken("Method", method);
  if (typeof target !== "string" || !isRequestTarget(target)) throw unescapedCharacters("Request path");

  const lines = new HeaderLines();
  if (request.headers !== undefined) lines.addAll(request.headers);
  const body = request.body ?? "none";
  checkBodyAllowed(method, body);
  const plan = requestFraming(method, {
    length: typeof body === "number" ? body : undefined,
    present: body !== "none",
    contentLength: lines.contentLength,
    chunked: lines.isChunked,
  });
  if (lines.hasTrailer && plan.framing !== "chunked") throw trailerFault("Trailers need a chunked body");
  if (request.strictContentLength !== false && plan.contentLength !== undefined) {
    const known = body === "none" ? 0 : body;
    // An answer to HEAD tells the length of what GET would send; a request's own length has no such excuse.
    if (known !== "stream" && known !== plan.contentLength) {
      throw contentLengthMismatch(known, plan.contentLength);
    }
  }
  return render(`${method} ${target} HTTP/1.1\r\n`, request, lines, plan.framing, plan.contentLength);
}

function render(
  requestLine: string,
  request: Omit<RequestFacts, "method" | "target">,
  lines: HeaderLines,
  framing: RequestFraming,
  contentLength: number | undefined,
): RequestHead {
  let text = requestLine;
  // RFC 9110 section 7.2: Host comes first.
  const host = lines.host ?? request.host;
  if (host !== undefined) text += line(lines.hostName, checked("Host", `${host}`));
  text += lines.text;
  let connectionClose = lines.connectionClose;
  if (!lines.hasConnection && request.connection !== "omit") {
    connectionClose = request.connection === "close";
    text += connectionClose ? "Connection: close\r\n" : "Connection: keep-alive\r\n";
  }
  let expectContinue = lines.expectContinue;
  // RFC 9110 section 10.1.1: not without content.
  if (request.expectContinue === true && !lines.hasExpect && framing !== "none" && contentLength !== 0) {
    expectContinue = true;
    text += "Expect: 100-continue\r\n";
  }
  if (contentLength !== undefined) text += line(lines.contentLengthName, String(contentLength));
  else if (framing === "chunked") text += lines.transferEncodingText;
  return { text: text + "\r\n", framing, contentLength, connectionClose, expectContinue };
}

function line(name: string, value: string): string {
  return `${name}: ${value}\r\n`;
}

function checked(name: string, value: string): string {
  if (!isFieldValue(value)) throw invalidHeaderContent(name);
  return value;
}

function trailerFault(message: string): ArgumentTypeError {
  return new ArgumentTypeError("ERR_HTTP_TRAILER_INVALID", message);
}

// RFC 9110 sections 9.3.8 and 9.3.6.
function checkBodyAllowed(method: string, body: number | "none" | "stream"): void {
  if (body === "none" || body === 0 || (method !== "TRACE" && method !== "CONNECT")) return;
  throw new ArgumentTypeError("ERR_HTTP_BODY_NOT_ALLOWED", `Cannot send a body with "${method}"`);
}

// A program sends the same few names over and over: a fifth of the time of a head on V8. The bound is against those that
// make names up.
const MAX_KNOWN_TOKENS = 256;
const knownTokens = new Set<string>();

function isKnownToken(name: string): boolean {
  if (knownTokens.has(name)) return true;
  if (!isToken(name)) return false;
  if (knownTokens.size < MAX_KNOWN_TOKENS) knownTokens.add(name);
  return true;
}

/** The user's lines, rendered; those that must be unique or that decide the framing are held apart. */
class HeaderLines {
  /** All lines but Host, Content-Length and Transfer-Encoding. */
  text = "";
  host: string | undefined;
  hostName = "Host";
  contentLength: number | undefined;
  contentLengthName = "Content-Length";
  transferEncodingText = "Transfer-Encoding: chunked\r\n";
  isChunked = false;
  hasConnection = false;
  connectionClose = false;
  hasExpect = false;
  expectContinue = false;
  hasTrailer = false;
  #transferEncoding: string | undefined;

  addAll(headers: HeadersInput): void {
    eachHeader(headers, (name, value) => this.add(name, value));
    if (this.#transferEncoding === undefined) return;
    // RFC 9112 section 6.3 step 4: the body of such a request has no end that a server could find.
    if (!isSendableCoding(this.#transferEncoding)) {
      throw invalidHeaderValue("Transfer-Encoding", "the final coding is not chunked");
    }
    this.isChunked = true;
  }

  add(name: unknown, value: unknown): void {
    if (typeof name !== "string" || !isKnownToken(name)) throw invalidToken("Header name", name);
    if (!Array.isArray(value)) return this.#addOne(name, value);
    if (value.length > 1 && name.length === 6 && name.toLowerCase() === "cookie") {
      // RFC 6265 section 5.4: one Cookie line.
      return this.#addOne(name, value.map((cookie) => headerText(name, cookie)).join("; "));
    }
    for (const element of value) this.#addOne(name, element);
  }

  #addOne(name: string, given: unknown): void {
    const value = checked(name, headerText(name, given));
    if (mayDecide(name) && !this.#special(name, name.toLowerCase(), value)) return;
    this.text += line(name, value);
  }

  // True: the line goes out in its place.
  #special(name: string, lowerName: string, value: string): boolean {
    switch (lowerName) {
      case "host":
        if (this.host !== undefined && this.host !== value) {
          throw invalidHeaderValue(name, "there are two of it");
        }
        this.host = value;
        this.hostName = name;
        return false;
      case "expect":
        this.hasExpect = true;
        this.expectContinue ||= hasToken(value, "100-continue");
        return true;
      case "trailer":
        this.hasTrailer = true;
        return true;
      case "connection":
        this.hasConnection = true;
        this.connectionClose ||= hasToken(value, "close");
        return true;
      case "content-length":
        this.contentLength = readContentLength(name, value, this.contentLength);
        this.contentLengthName = name;
        return false;
      case "transfer-encoding":
        this.#transferEncoding = joinCodings(this.#transferEncoding, value);
        this.transferEncodingText = line(name, this.#transferEncoding);
        return false;
      default:
        return true;
    }
  }
}

/**
 * Calls `visit` with each name and value, unchecked, of headers in any form; throws ArgumentTypeError where they have
 * none of these forms.
 */
function eachHeader(headers: HeadersInput, visit: (name: unknown, value: unknown) => void): void {
  if (headers === null || typeof headers !== "object") {
    throw invalidArgType("headers", "an object, an array, a Headers or a Map", headers);
  }
  if (Array.isArray(headers) && !Array.isArray(headers[0])) {
    if (headers.length % 2 !== 0) {
      throw invalidArgValue("headers", "must have a value for each name", headers);
    }
    for (let i = 0; i < headers.length; i += 2) visit(headers[i], headers[i + 1]);
  } else if (Symbol.iterator in headers) {
    for (const pair of headers as Iterable<unknown>) {
      // A string would else be taken for a pair of letters.
      if (!Array.isArray(pair) || pair.length !== 2) {
        throw invalidArgValue("headers", "must consist of pairs", pair);
      }
      visit(pair[0], pair[1]);
    }
  } else {
    const object = headers as Readonly<Record<string, unknown>>;
    for (const name of Object.keys(object)) visit(name, object[name]);
  }
}

/** The names and values of headers in any form, unchecked, as pairs. */
export function headerEntries(headers: HeadersInput): (readonly [unknown, unknown])[] {
  const entries: (readonly [unknown, unknown])[] = [];
  eachHeader(headers, (name, value) => entries.push([name, value]));
  return entries;
}

/** Up to how many bytes a body is joined with its head: from 64 KiB on two writes cost less than the copy. */
export const MAX_JOINED_BODY_BYTES = 16_384;

/** The head as bytes. */
export function encodeHead(head: RequestHead): Uint8Array {
  return encodeLatin1(head.text);
}

/** The head and a body of known length as one write. */
export function encodeHeadAndBody(head: RequestHead, body: Uint8Array): Uint8Array {
  return encodeLatin1With(head.text, body);
}

/** What precedes the data of a chunk of `size` bytes, which is more than 0 (RFC 9112 section 7.1). */
export function chunkHead(size: number): Uint8Array {
  return encodeLatin1(`${size.toString(16)}\r\n`);
}

/** What follows the data of a chunk. */
export const CHUNK_END: Uint8Array = encodeLatin1("\r\n");

/** One chunk, framed: a copy, one write. `data` is not empty: an empty chunk would end the body. */
export function encodeChunk(data: Uint8Array): Uint8Array {
  const head = `${data.length.toString(16)}\r\n`;
  const chunk = new Uint8Array(head.length + data.length + 2);
  chunk.set(encodeLatin1(head));
  chunk.set(data, head.length);
  chunk[chunk.length - 2] = 0x0d;
  chunk[chunk.length - 1] = 0x0a;
  return chunk;
}

// RFC 9110 section 6.5.1: framing, routing, authentication and content description do not belong into trailers.
const NOT_IN_TRAILERS: ReadonlySet<string> = new Set([
  "authorization",
  "connection",
  "content-encoding",
  "content-length",
  "content-range",
  "content-type",
  "cookie",
  "expect",
  "host",
  "keep-alive",
  "proxy-authorization",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
]);

/** The end of a chunked body, with `trailers`. Throws ArgumentTypeError. */
export function encodeLastChunk(trailers?: HeadersInput): Uint8Array {
  let lines = "0\r\n";
  if (trailers !== undefined) {
    eachHeader(trailers, (name, value) => {
      if (typeof name !== "string" || !isToken(name)) throw invalidToken("Trailer name", name);
      if (NOT_IN_TRAILERS.has(name.toLowerCase())) throw trailerFault(`Cannot send "${name}" as a trailer`);
      for (const one of Array.isArray(value) ? value : [value]) {
        lines += line(name, checked(name, headerText(name, one)));
      }
    });
  }
  return encodeLatin1(lines + "\r\n");
}

/** Counts a body's bytes against the Content-Length that was sent. */
export class BodyCounter {
  readonly #declared: number | undefined;
  readonly #isStrict: boolean;
  #sent = 0;

  /** `declared`: undefined where nothing is counted (chunked). Strict: agent.request, fetch, `strictContentLength`. */
  constructor(declared: number | undefined, isStrict: boolean) {
    this.#declared = declared;
    this.#isStrict = isStrict;
  }

  /** Call before `bytes` more are sent; throws ERR_HTTP_CONTENT_LENGTH_MISMATCH where one of them is surplus. */
  add(bytes: number): void {
    this.#sent += bytes;
    if (this.#isStrict && this.#declared !== undefined && this.#sent > this.#declared) {
      throw contentLengthMismatch(this.#sent, this.#declared);
    }
  }

  /** Call at the body's end; throws ERR_HTTP_CONTENT_LENGTH_MISMATCH where bytes are missing. */
  end(): void {
    if (this.#isStrict && !this.isExact) throw contentLengthMismatch(this.#sent, this.#declared!);
  }

  /** True where the bytes so far are those declared; a connection on which they are not at the end is never reused. */
  get isExact(): boolean {
    return this.#declared === undefined || this.#sent === this.#declared;
  }
}
