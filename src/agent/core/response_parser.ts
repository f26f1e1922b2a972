/**
 * Bytes to responses: a parser that is armed for exactly one response at a time.
 *
 * Owns the parse position, the limits and the chunked coding (RFC 9112 section 7.1); the head's grammar is
 * head_scanner.ts, the framing decision framing.ts. Must not know sockets, time or what anybody does with a response.
 * Strategy: push. `parse` walks the chunk and calls the sink; body chunks are slices of what it was given. Any split
 * of the same bytes gives the same calls, but for the cuts between body chunks.
 *
 * @module
 */

import { FIELD_TEXT, TOKEN } from "./characters.ts";
import { ProtocolError, type ProtocolErrorCode } from "./errors.ts";
import { type BodyFraming, responseFraming } from "./framing.ts";
import { HeaderBlock } from "./headers.ts";
import { HeadScanner, type Leniency } from "./head_scanner.ts";
import { HeadTemplate } from "./head_template.ts";
import { NO_SPECIAL_VALUES, readSpecials, type SpecialField, type SpecialValues } from "./special_fields.ts";

/** How much of a response is accepted before it is an error. */
export interface ParserLimits {
  /** Bytes of a head, status line and line ends included, and of a trailer section. Default 16,384: Node's maxHeaderSize. */
  readonly maxHeaderBytes: number;
  /** Lines of a header or trailer section. Default 2,000: Node's maxHeadersCount, beyond which Node cuts silently. */
  readonly maxHeaderLines: number;
  /** Fields shown of a section, the rest cut as Node documents for a maxHeadersCount set by the user. Default: all. */
  readonly maxHeadersCount: number;
  /** Bytes of a chunk's size line. Default 16,384: Node's limit of chunk extensions. */
  readonly maxChunkLineBytes: number;
  /** Interim (1xx) responses before the final one. Default 100. Node has no limit: an endless row of them holds a request for ever. */
  readonly maxInformational: number;
  /** What `insecureHTTPParser` forgives. Default: nothing. */
  readonly leniency: Leniency;
}

/** The defaults of {@linkcode ParserLimits}. */
export const DEFAULT_LIMITS: ParserLimits = {
  maxHeaderBytes: 16_384,
  maxHeaderLines: 2_000,
  maxHeadersCount: Infinity,
  maxChunkLineBytes: 16_384,
  maxInformational: 100,
  leniency: {},
};

/** All of Node's `insecureHTTPParser: true`. */
export const ALL_LENIENT: Leniency = {
  headers: true,
  headerValueRelaxed: true,
  chunkedLength: true,
  version: true,
  optionalLfAfterCr: true,
  optionalCrBeforeLf: true,
  optionalCrlfAfterChunk: true,
  spacesAfterChunkSize: true,
};

/** A response's status line and header section. */
export interface ResponseHead {
  /** The digit before the dot of `HTTP/1.1`. */
  readonly httpVersionMajor: number;
  /** The digit behind it. */
  readonly httpVersionMinor: number;
  /** 100 to 999. */
  readonly status: number;
  /** The reason phrase, which may be empty. */
  readonly statusText: string;
  /** The fields, found when first asked for. */
  readonly headers: HeaderBlock;
  /** Values of all Connection lines joined by ", "; "" for none. */
  readonly connection: string;
  /** Values of all Keep-Alive lines joined by ", "; "" for none. */
  readonly keepAlive: string;
  /** A Transfer-Encoding line is present. */
  readonly hasTransferEncoding: boolean;
  /** A Content-Length line is present. */
  readonly hasContentLength: boolean;
}

/** Told what the parser finds. Every method may reset the parser, which then stops where it is. */
export interface ResponseSink {
  /** An interim response, other than 101. */
  onInformational(head: ResponseHead): void;
  /** The final response. */
  onHead(head: ResponseHead, framing: BodyFraming): void;
  /** A part of the body, lent for the call. False: `parse` returns, the rest is to be given again later. */
  onBody(chunk: Uint8Array): boolean;
  /** The response is complete, `parse` returns: bytes not consumed are surplus. `trailers`: of a chunked body that had some. */
  onComplete(trailers: HeaderBlock | undefined): void;
  /** 101, or a 2xx to CONNECT: `parse` returns, bytes not consumed are the new protocol's. */
  onUpgrade(head: ResponseHead): void;
}

/** Where the parser is. */
export type ParserState =
  | "idle"
  | "head"
  | "length-body"
  | "close-body"
  | "chunk-size"
  | "chunk-size-space"
  | "chunk-extension-start"
  | "chunk-extension-name"
  | "chunk-extension-value"
  | "chunk-extension-quoted"
  | "chunk-extension-escape"
  | "chunk-extension-closed"
  | "chunk-line-end"
  | "chunk-data"
  | "chunk-data-end"
  | "chunk-data-end-lf"
  | "trailers"
  | "failed";

const CR = 0x0d;
const LF = 0x0a;
const SP = 0x20;
const HT = 0x09;
const SEMICOLON = 0x3b;
const EMPTY = new Uint8Array(0);

/** Options of {@linkcode ResponseParser.start}. */
export interface StartOptions {
  /**
   * CONNECT alone: any final response hands the connection over, as Node's 'connect' event has it. Default false:
   * a 2xx only (RFC 9110 section 9.3.6).
   */
  readonly anyStatusConnects?: boolean | undefined;
}

/** Reads the responses of one connection, one at a time. */
export class ResponseParser {
  readonly #limits: ParserLimits;
  readonly #scanner: HeadScanner;
  #state: ParserState = "idle";
  #method = "";
  #anyStatusConnects = false;
  #informational = 0;
  // What the codec heeds of the last section, and the fields it was read from.
  #lastSpecials: readonly SpecialField[] | undefined;
  #lastValues: SpecialValues = NO_SPECIAL_VALUES;
  // Bytes of the body, or of the chunk, that are still to come.
  #remaining = 0;
  // Of the chunk's size line: bytes so far, and whether a digit was seen.
  #chunkLineBytes = 0;

  /**
   * `limits`: what differs from {@linkcode DEFAULT_LIMITS}. `template`: what the parser remembers of its last head, up
   * to 2 KiB of it, to read the next faster; parsers of one origin may share it.
   */
  constructor(limits?: Partial<ParserLimits>, template: HeadTemplate = new HeadTemplate()) {
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    const { maxHeaderBytes, maxHeaderLines, leniency } = this.#limits;
    this.#scanner = new HeadScanner(maxHeaderBytes, maxHeaderLines, leniency, template);
  }

  /** Where the parser is; "idle" when it is not armed. */
  get state(): ParserState {
    return this.#state;
  }

  /** Arms the parser for the response to one request of `method`. Throws where the last one is not complete. */
  start(method: string, options?: StartOptions): void {
    if (this.#state !== "idle") throw new Error(`Parser is in use: state is "${this.#state}"`);
    this.#method = method;
    this.#anyStatusConnects = options?.anyStatusConnects === true;
    this.#informational = 0;
    this.#startHead();
  }

  /** Disarms the parser, wherever it is. */
  reset(): void {
    this.#state = "idle";
  }

  /**
   * Reads `chunk` and returns how many bytes of it were consumed: fewer than all after the end of the response, after
   * a hand-over, after `onBody` said false, and when not armed (0: unsolicited bytes). Throws {@linkcode ProtocolError};
   * after that the connection is of no more use.
   */
  parse(chunk: Uint8Array, sink: ResponseSink): number {
    let at = 0;
    for (;;) {
      switch (this.#state) {
        case "idle":
        case "failed":
          return at;

        case "head":
          at = this.#scan(chunk, at);
          if (!this.#scanner.isDone) return at;
          if (!this.#endHead(sink, chunk, at)) return at;
          break;

        case "length-body":
        case "chunk-data":
        case "close-body": {
          if (at === chunk.length) return at;
          const end = Math.min(chunk.length, at + this.#remaining);
          const slice = at === 0 && end === chunk.length ? chunk : chunk.subarray(at, end);
          at = end;
          if (!this.#pushBody(slice, sink)) return at;
          break;
        }

        case "trailers":
          at = this.#scan(chunk, at);
          if (this.#scanner.isDone) this.#endTrailers(sink, chunk, at);
          return at;

        default:
          if (at === chunk.length) return at;
          at = this.#chunkLine(chunk, at);
      }
    }
  }

  /**
   * The peer will send no more. Completes a body that ends with the connection; throws HPE_INVALID_EOF_STATE in the
   * midst of anything else; does nothing when not armed.
   */
  finish(sink: ResponseSink): void {
    switch (this.#state) {
      case "idle":
      case "failed":
        return;
      case "close-body":
        this.#complete(sink, undefined);
        return;
      default:
        this.#fail("HPE_INVALID_EOF_STATE", "Invalid EOF state", EMPTY, 0);
    }
  }

  #startHead(): void {
    this.#scanner.startHead();
    this.#state = "head";
  }

  #scan(chunk: Uint8Array, from: number): number {
    const to = this.#scanner.scan(chunk, from);
    if (to >= 0) return to;
    const { code, reason, at } = this.#scanner.fault!;
    return this.#fail(code, reason, chunk, at);
  }

  // True: go on with the bytes behind the head.
  #endHead(sink: ResponseSink, chunk: Uint8Array, at: number): boolean {
    const scanner = this.#scanner;
    const fields = this.#specialValues(chunk, at);
    const { status } = scanner;
    const head: ResponseHead = {
      httpVersionMajor: scanner.versionMajor,
      httpVersionMinor: scanner.versionMinor,
      status,
      statusText: scanner.reasonPhrase,
      headers: this.#headerBlock(),
      connection: fields.connection,
      keepAlive: fields.keepAlive,
      hasTransferEncoding: fields.transferEncoding !== undefined,
      hasContentLength: fields.contentLength !== undefined,
    };
    const framing = responseFraming(this.#method, status, fields);
    if (framing.kind === "fault") this.#fail(framing.code, framing.reason, chunk, at);

    if (status === 101 || (this.#method === "CONNECT" && status >= 200 && this.#connects(status))) {
      this.#state = "idle";
      sink.onUpgrade(head);
      return false;
    }
    if (status < 200) {
      if (++this.#informational > this.#limits.maxInformational) {
        this.#fail("HPE_INFORMATIONAL_OVERFLOW", "Too many informational responses", chunk, at);
      }
      this.#startHead();
      sink.onInformational(head);
      return true;
    }
    const next = this.#bodyState(framing);
    this.#state = next;
    sink.onHead(head, framing);
    if (this.#state !== next) return false;
    if (next !== "length-body" || this.#remaining > 0) return true;
    this.#complete(sink, undefined);
    return false;
  }

  #connects(status: number): boolean {
    return this.#anyStatusConnects || status < 300;
  }

  #bodyState(framing: BodyFraming): ParserState {
    switch (framing.kind) {
      case "none":
        this.#remaining = 0;
        return "length-body";
      case "length":
        this.#remaining = framing.length;
        return "length-body";
      case "close":
        this.#remaining = Infinity;
        return "close-body";
      case "chunked":
        this.#startChunk();
        return "chunk-size";
    }
  }

  #headerBlock(): HeaderBlock {
    const scanner = this.#scanner;
    const shown = this.#limits.maxHeadersCount;
    const { fieldCount } = scanner;
    if (fieldCount === 0) return HeaderBlock.EMPTY;
    if (!scanner.isIrregular) {
      return new HeaderBlock(scanner.text, scanner.marks, shown);
    }
    const pairs: string[] = [];
    for (let i = 0; i < fieldCount && i < shown; i++) pairs.push(scanner.name(i), scanner.value(i));
    return HeaderBlock.fromPairs(pairs);
  }

  // The fields that the codec itself heeds.
  #specialValues(chunk: Uint8Array, at: number): SpecialValues {
    const scanner = this.#scanner;
    const { specials } = scanner;
    if (scanner.hasSpecialsOfBefore && specials === this.#lastSpecials) return this.#lastValues;
    const valueOf = (index: number): string => scanner.value(index);
    const values = readSpecials(specials, valueOf, this.#limits.leniency.chunkedLength === true);
    if ("kind" in values) return this.#fail(values.code, values.reason, chunk, at);
    this.#lastSpecials = specials;
    this.#lastValues = values;
    return values;
  }

  // Hands a slice over; true: go on.
  #pushBody(slice: Uint8Array, sink: ResponseSink): boolean {
    const state = this.#state;
    this.#remaining -= slice.length;
    const isLast = this.#remaining === 0;
    if (isLast && state === "chunk-data") this.#state = "chunk-data-end";
    const expected = this.#state;
    const wanted = sink.onBody(slice);
    if (this.#state !== expected) return false;
    if (isLast && state === "length-body") {
      // No further byte is needed, so a paused reader does not hold the end back.
      this.#complete(sink, undefined);
      return false;
    }
    return wanted;
  }

  #endTrailers(sink: ResponseSink, chunk: Uint8Array, at: number): void {
    // RFC 9110 section 6.5.1: framing does not belong into trailers.
    const fields = this.#specialValues(chunk, at);
    if (fields.contentLength !== undefined) {
      const reason = "Content-Length can't be present in trailers";
      this.#fail("HPE_INVALID_CONTENT_LENGTH", reason, chunk, at);
    }
    if (fields.transferEncoding !== undefined) {
      const reason = "Transfer-Encoding can't be present in trailers";
      this.#fail("HPE_INVALID_TRANSFER_ENCODING", reason, chunk, at);
    }
    this.#complete(sink, this.#scanner.fieldCount === 0 ? undefined : this.#headerBlock());
  }

  #complete(sink: ResponseSink, trailers: HeaderBlock | undefined): void {
    this.#state = "idle";
    sink.onComplete(trailers);
  }

  #startChunk(): void {
    this.#remaining = 0;
    this.#chunkLineBytes = 0;
  }

  // One byte after the other through a chunk's size line and through what ends its data.
  #chunkLine(chunk: Uint8Array, from: number): number {
    const { leniency, maxChunkLineBytes } = this.#limits;
    let state = this.#state;
    let at = from;
    for (; at < chunk.length; at++) {
      const byte = chunk[at]!;
      if (++this.#chunkLineBytes > maxChunkLineBytes) {
        this.#fail("HPE_CHUNK_EXTENSIONS_OVERFLOW", "Chunk line overflow", chunk, at);
      }
      switch (state) {
        case "chunk-size":
        case "chunk-size-space": {
          const digit = state === "chunk-size" ? hexDigit(byte) : -1;
          if (digit >= 0) {
            this.#remaining = this.#remaining * 16 + digit;
            if (this.#remaining > Number.MAX_SAFE_INTEGER) {
              this.#fail("HPE_INVALID_CHUNK_SIZE", "Chunk size overflow", chunk, at);
            }
            continue;
          }
          if (this.#chunkLineBytes > 1) {
            if (byte === CR) {
              state = "chunk-line-end";
              continue;
            }
            if (byte === SEMICOLON) {
              state = "chunk-extension-start";
              continue;
            }
            if ((byte === SP || byte === HT) && leniency.spacesAfterChunkSize) {
              state = "chunk-size-space";
              continue;
            }
            if (byte === LF) {
              if (!leniency.optionalCrBeforeLf) {
                this.#fail("HPE_CR_EXPECTED", "Missing expected CR after chunk size", chunk, at);
              }
              return this.#endChunkLine(at + 1);
            }
          }
          return this.#fail("HPE_INVALID_CHUNK_SIZE", "Invalid character in chunk size", chunk, at);
        }

        case "chunk-line-end":
          if (byte === LF) return this.#endChunkLine(at + 1);
          if (leniency.optionalLfAfterCr) return this.#endChunkLine(at);
          return this.#fail("HPE_STRICT", "Expected LF after chunk size", chunk, at);

        case "chunk-data-end":
          if (byte === CR) {
            state = "chunk-data-end-lf";
            continue;
          }
          if (byte === LF && leniency.optionalCrBeforeLf) {
            at++;
          } else if (!leniency.optionalCrlfAfterChunk) {
            if (byte === LF) this.#fail("HPE_CR_EXPECTED", "Missing expected CR after chunk data", chunk, at);
            this.#fail("HPE_STRICT", "Expected LF after chunk data", chunk, at);
          }
          this.#startChunk();
          this.#state = "chunk-size";
          return at;

        case "chunk-data-end-lf":
          if (byte !== LF) this.#fail("HPE_STRICT", "Expected LF after chunk data", chunk, at);
          this.#startChunk();
          this.#state = "chunk-size";
          return at + 1;

        default: {
          const next = extensionState(state, byte);
          if (next === undefined) {
            if (byte === LF && leniency.optionalCrBeforeLf && mayEndExtension(state)) {
              return this.#endChunkLine(at + 1);
            }
            if (byte === LF) {
              this.#fail("HPE_CR_EXPECTED", "Missing expected CR after chunk extension", chunk, at);
            }
            this.#fail("HPE_STRICT", "Invalid character in chunk extensions", chunk, at);
          }
          state = next;
        }
      }
    }
    this.#state = state;
    return at;
  }

  #endChunkLine(at: number): number {
    if (this.#remaining > 0) {
      this.#state = "chunk-data";
      this.#chunkLineBytes = 0;
    } else {
      this.#scanner.startTrailers();
      this.#state = "trailers";
    }
    return at;
  }

  #fail(code: ProtocolErrorCode, reason: string, chunk: Uint8Array, at: number): never {
    this.#state = "failed";
    throw new ProtocolError(code, { reason, bytesParsed: at, rawPacket: new Uint8Array(chunk) });
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

function mayEndExtension(state: ParserState): boolean {
  return state === "chunk-extension-name" || state === "chunk-extension-value" ||
    state === "chunk-extension-closed";
}

/** The state behind `byte` in a chunk extension (RFC 9112 section 7.1.1); undefined: not allowed there. */
function extensionState(state: ParserState, byte: number): ParserState | undefined {
  switch (state) {
    case "chunk-extension-start":
      if (byte === SP || byte === CR) return undefined;
      return extensionState("chunk-extension-name", byte);
    case "chunk-extension-name":
      if (TOKEN[byte] === 1) return "chunk-extension-name";
      if (byte === 0x3d) return "chunk-extension-value";
      return extensionEnd(byte);
    case "chunk-extension-value":
      if (TOKEN[byte] === 1) return "chunk-extension-value";
      if (byte === 0x22) return "chunk-extension-quoted";
      return extensionEnd(byte);
    case "chunk-extension-quoted":
      if (byte === 0x22) return "chunk-extension-closed";
      if (byte === 0x5c) return "chunk-extension-escape";
      return FIELD_TEXT[byte] === 1 ? "chunk-extension-quoted" : undefined;
    case "chunk-extension-escape":
      return FIELD_TEXT[byte] === 1 ? "chunk-extension-quoted" : undefined;
    case "chunk-extension-closed":
      return extensionEnd(byte);
    default:
      return undefined;
  }
}

function extensionEnd(byte: number): ParserState | undefined {
  if (byte === SEMICOLON) return "chunk-extension-start";
  return byte === CR ? "chunk-line-end" : undefined;
}
