/**
 * An outgoing message's head as text, in the order in which Node sends it.
 *
 * Owns Node's rules for the lines that a client adds (Connection, Content-Length, Transfer-Encoding) and what must not
 * leave: a value is converted once, and what was converted is checked; there is one Host and one framing line, whatever
 * was given. `core/request_serializer.ts` does the same for the lean faces, which are free to choose the order.
 * Pure. Knows no socket and no body.
 *
 * @module
 */

import { isFieldValue, isToken } from "./core/characters.ts";
import { invalidHeaderContent, invalidHeaderValue, invalidToken } from "./core/errors.ts";
import { isSendableCoding } from "./core/framing.ts";
import { hasToken, headerText, joinCodings, mayDecide, readContentLength } from "./core/request_lines.ts";
import { trailersNotChunked } from "./outgoing_message_errors.ts";

/** What is known of the message when its head is made. */
export interface HeadFacts {
  /** `GET / HTTP/1.1`: checked by the caller. */
  readonly startLine: string;
  /** Names and values in pairs; a value may be an array. */
  readonly fields: Iterable<readonly [unknown, unknown]>;
  /** The names have been checked, and so has each value that is a string. */
  readonly areChecked: boolean;
  /** Values may hold any octet but those that would end a line. */
  readonly isLenient?: boolean | undefined;
  /** Names, in lower case, of which several values are joined by "; " into one line. */
  readonly uniqueHeaders: ReadonlySet<string> | undefined;
  /** Keep-alive is wanted, and there is an agent that can make use of it. */
  readonly isKeepAlive: boolean;
  /** Bytes of the body: known with end(); undefined: it is streamed, if `mayHaveBody`. */
  readonly bodyLength: number | undefined;
  /** A body follows, or may: false where only end() or flushHeaders() of a bodiless method made the head. */
  readonly mayHaveBody: boolean;
  /** The method has a body by nature (POST), so that an empty one is said to be empty. */
  readonly anticipatesBody: boolean;
  /** What follows the head belongs to a tunnel (CONNECT, RFC 9110 section 9.3.6): it is not framed. */
  readonly isTunnel: boolean;
  /** The user took the line away, so it is not added. */
  readonly omit: {
    readonly connection: boolean;
    readonly contentLength: boolean;
    readonly transferEncoding: boolean;
  };
}

/** A head, ready to be sent. */
export interface RenderedHead {
  /** All lines and the empty one: latin1 characters alone. */
  readonly text: string;
  /** The body goes in chunks. */
  readonly isChunked: boolean;
  /** The length said; undefined: none was. */
  readonly contentLength: number | undefined;
  /** `Connection: close` is said. */
  readonly saysClose: boolean;
  /** A Connection line that the user gave says something other than close. */
  readonly saysKeepAlive: boolean;
  /** An Expect line: the head is sent at once. */
  readonly hasExpect: boolean;
  /** The user gave a Keep-Alive line. */
  readonly hasKeepAlive: boolean;
}

/** Renders a head; throws TypeErrors with Node's codes. */
export function renderHead(facts: HeadFacts): RenderedHead {
  const lines = new HeadLines(facts);
  for (const [name, value] of facts.fields) lines.add(name, value);
  const framing = frame(facts, lines);
  if (lines.hasTrailer && !framing.isChunked) throw trailersNotChunked();
  let text = `${facts.startLine}\r\n${lines.text(framing.isChunked)}`;
  let saysClose = lines.saysClose;
  if (!lines.hasConnection && !facts.omit.connection) {
    saysClose = !facts.isKeepAlive;
    text += saysClose ? "Connection: close\r\n" : "Connection: keep-alive\r\n";
  }
  return {
    text: `${text}${framing.line}\r\n`,
    isChunked: framing.isChunked,
    contentLength: framing.contentLength,
    saysClose,
    saysKeepAlive: lines.hasConnection && !lines.saysClose,
    hasExpect: lines.hasExpect,
    hasKeepAlive: lines.hasKeepAlive,
  };
}

interface Framing {
  /** The line to add, if any. */
  readonly line: string;
  readonly isChunked: boolean;
  readonly contentLength: number | undefined;
}

const NO_BODY: Framing = { line: "", isChunked: false, contentLength: undefined };

/**
 * RFC 9112 section 6.3 step 7 and RFC 9110 section 8.6 from the sender's side.
 *
 * Differs from Node: a body written to a GET or DELETE is framed as any other. Node sends it bare, and the server takes
 * it for the next request.
 */
function frame(facts: HeadFacts, lines: HeadLines): Framing {
  if (lines.hasOtherCoding) {
    // RFC 9112 section 6.3 step 4: the body of such a request has no end that a server could find.
    throw invalidHeaderValue("Transfer-Encoding", "the final coding is not chunked");
  }
  if (lines.isChunked) return { line: "", isChunked: true, contentLength: undefined };
  if (lines.contentLength !== undefined) {
    return { line: "", isChunked: false, contentLength: lines.contentLength };
  }
  const { bodyLength, anticipatesBody, omit } = facts;
  if (facts.isTunnel) return NO_BODY;
  if (bodyLength !== undefined && !lines.hasTrailer && !omit.contentLength) {
    if (bodyLength === 0 && !anticipatesBody) return NO_BODY;
    return { line: `Content-Length: ${bodyLength}\r\n`, isChunked: false, contentLength: bodyLength };
  }
  if (!(facts.mayHaveBody || anticipatesBody) || omit.transferEncoding) return NO_BODY;
  return { line: "Transfer-Encoding: chunked\r\n", isChunked: true, contentLength: undefined };
}

/** The caller's lines, in his order. */
class HeadLines {
  hasConnection = false;
  saysClose = false;
  hasExpect = false;
  hasTrailer = false;
  hasKeepAlive = false;
  contentLength: number | undefined;
  isChunked = false;
  readonly #unique: ReadonlySet<string> | undefined;
  readonly #areChecked: boolean;
  readonly #isLenient: boolean;
  #text = "";
  #host: string | undefined;
  /** The Content-Length line and where it belongs: it is left out of a chunked message. */
  #lengthLine = "";
  #lengthAt = 0;
  #transferEncoding: string | undefined;

  constructor({ uniqueHeaders, areChecked, isLenient }: HeadFacts) {
    this.#unique = uniqueHeaders;
    this.#areChecked = areChecked;
    this.#isLenient = isLenient === true;
  }

  get hasOtherCoding(): boolean {
    return this.#transferEncoding !== undefined && !this.isChunked;
  }

  text(isChunked: boolean): string {
    if (this.#lengthLine === "" || isChunked) return this.#text;
    return this.#text.slice(0, this.#lengthAt) + this.#lengthLine + this.#text.slice(this.#lengthAt);
  }

  add(name: unknown, value: unknown): void {
    if (this.#areChecked && typeof value === "string") return this.#addText(name as string, value);
    if (typeof name !== "string" || !isToken(name)) throw invalidToken("Header name", name);
    if (!Array.isArray(value)) return this.#addOne(name, value);
    const lowerName = name.toLowerCase();
    // RFC 6265 section 5.4: one Cookie line.
    if ((value.length > 1 && lowerName === "cookie") || this.#unique?.has(lowerName)) {
      this.#addOne(name, value.map((each) => headerText(name, each)).join("; "));
    } else {
      for (const each of value) this.#addOne(name, each);
    }
  }

  #addOne(name: string, given: unknown): void {
    const value = headerText(name, given);
    if (!isFieldValue(value, this.#isLenient)) throw invalidHeaderContent(name);
    this.#addText(name, value);
  }

  #addText(name: string, value: string): void {
    if (mayDecide(name) && !this.#note(name, name.toLowerCase(), value)) return;
    this.#text += `${name}: ${value}\r\n`;
  }

  // False: the line is not to be added here.
  #note(name: string, lowerName: string, value: string): boolean {
    switch (lowerName) {
      case "host":
        if (this.#host === undefined) this.#host = value;
        else if (this.#host === value) return false;
        else throw invalidHeaderValue(name, "there are two of it");
        return true;
      case "expect":
        this.hasExpect = true;
        return true;
      case "trailer":
        this.hasTrailer = true;
        return true;
      case "connection":
        this.hasConnection = true;
        this.saysClose ||= hasToken(value, "close");
        return true;
      case "keep-alive":
        this.hasKeepAlive = true;
        return true;
      case "content-length":
        this.#setLength(name, value);
        return false;
      case "transfer-encoding":
        this.#transferEncoding = joinCodings(this.#transferEncoding, value);
        this.isChunked = isSendableCoding(this.#transferEncoding);
        return true;
      default:
        return true;
    }
  }

  #setLength(name: string, value: string): void {
    const isFirst = this.contentLength === undefined;
    this.contentLength = readContentLength(name, value, this.contentLength);
    if (!isFirst) return;
    this.#lengthLine = `${name}: ${value}\r\n`;
    this.#lengthAt = this.#text.length;
  }
}
