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

import { ChunkLine, type ChunkLineState } from "./chunk_line.ts";
import { type ByteFault, ProtocolError, type ProtocolErrorCode } from "./errors.ts";
import { type BodyFraming, responseFraming } from "./framing.ts";
import { HeaderBlock } from "./headers.ts";
import { HeadScanner } from "./head_scanner.ts";
import { HeadTemplate } from "./head_template.ts";
import { type Leniency, STRICT } from "./leniency.ts";
import { lengthBesideCoding, readSpecials, type SpecialFault, type SpecialValues } from "./special_fields.ts";

export { ALL_LENIENT } from "./leniency.ts";

/** How much of a response is accepted before it is an error. */
export interface ParserLimits {
  /** Bytes of a head, status line and line ends included, and of a trailer section. Default 16,384: Node's maxHeaderSize. */
  readonly maxHeaderBytes: number;
  /** Lines of a header or trailer section. Default 2,000: Node's maxHeadersCount, beyond which Node cuts silently. */
  readonly maxHeaderLines: number;
  /**
   * Fields shown of a section, the rest cut, as Node documents for a maxHeadersCount set by the user; framing heeds
   * them all. Default: all. Goes with a maxHeaderLines of Infinity, as Node's 0 (no limit) does for both.
   */
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
  leniency: STRICT,
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
  | ChunkLineState
  | "chunk-data"
  | "trailers"
  | "failed";

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
  #state:
    | "idle"
    | "head"
    | "length-body"
    | "close-body"
    | "chunk-line"
    | "chunk-data"
    | "trailers"
    | "failed" = "idle";
  #method = "";
  #anyStatusConnects = false;
  #informational = 0;
  readonly #chunkLine: ChunkLine;
  // Bytes of the body, or of the chunk, that are still to come.
  #remaining = 0;

  /**
   * `limits`: what differs from {@linkcode DEFAULT_LIMITS}. `template`: what the parser remembers of its last
   * heads, to read the next faster; the parsers of one origin share it.
   */
  constructor(limits?: Partial<ParserLimits>, template: HeadTemplate = new HeadTemplate()) {
    this.#limits = { ...DEFAULT_LIMITS, ...limits };
    const { maxHeaderBytes, maxHeaderLines, maxChunkLineBytes, leniency } = this.#limits;
    this.#chunkLine = new ChunkLine(maxChunkLineBytes, leniency);
    this.#scanner = new HeadScanner(maxHeaderBytes, maxHeaderLines, leniency, template);
  }

  /** Where the parser is; "idle" when it is not armed. */
  get state(): ParserState {
    return this.#state === "chunk-line" ? this.#chunkLine.state : this.#state;
  }

  /** Reads heads that are like these faster from now on, and adds to them; at rest alone. */
  expect(template: HeadTemplate): void {
    this.#scanner.template = template;
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

        case "close-body": {
          if (at === chunk.length) return at;
          const rest = at === 0 ? chunk : chunk.subarray(at);
          sink.onBody(rest);
          return chunk.length;
        }

        case "length-body":
        case "chunk-data": {
          if (at === chunk.length) return at;
          const end = Math.min(chunk.length, at + this.#remaining);
          const slice = at === 0 && end === chunk.length ? chunk : chunk.subarray(at, end);
          at = end;
          if (!this.#pushBody(slice, sink)) return at;
          break;
        }

        case "chunk-line":
          if (at === chunk.length) return at;
          at = this.#readChunkLine(chunk, at);
          break;

        case "trailers":
          at = this.#scan(chunk, at);
          if (this.#scanner.isDone) this.#endTrailers(sink, chunk, at);
          return at;
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
    return this.#failBy(this.#scanner.fault!, chunk);
  }

  // True: go on with the bytes behind the head.
  #endHead(sink: ResponseSink, chunk: Uint8Array, at: number): boolean {
    const scanner = this.#scanner;
    const fields = this.#specialValues(chunk);
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

  #bodyState(framing: BodyFraming): "length-body" | "close-body" | "chunk-line" {
    switch (framing.kind) {
      case "none":
        this.#remaining = 0;
        return "length-body";
      case "length":
        this.#remaining = framing.length;
        return "length-body";
      case "close":
        return "close-body";
      case "chunked":
        this.#chunkLine.startFirst();
        return "chunk-line";
    }
  }

  #headerBlock(): HeaderBlock {
    const scanner = this.#scanner;
    const shown = this.#limits.maxHeadersCount;
    const { fieldCount } = scanner;
    if (fieldCount === 0) return HeaderBlock.EMPTY;
    if (!scanner.isFolded) {
      const { image } = scanner;
      return image === undefined
        ? new HeaderBlock(scanner.text, scanner.marks, shown)
        : new HeaderBlock("", image.keep(), shown, image);
    }
    const pairs: string[] = [];
    for (let i = 0; i < fieldCount && i < shown; i++) pairs.push(scanner.name(i), scanner.value(i));
    return HeaderBlock.fromPairs(pairs);
  }

  // The fields that the codec itself heeds.
  #specialValues(chunk: Uint8Array): SpecialValues {
    const scanner = this.#scanner;
    const isLenient = this.#limits.leniency.chunkedLength === true;
    const { memo } = scanner;
    const known = isLenient ? memo?.lenient : memo?.strict;
    if (known !== undefined) return known;
    const values = readSpecials(scanner.specials, (index) => scanner.value(index), isLenient);
    if ("kind" in values) return this.#failAtField(values, chunk);
    if (memo !== undefined) memo[isLenient ? "lenient" : "strict"] = values;
    return values;
  }

  // Hands a slice over; true: go on.
  #pushBody(slice: Uint8Array, sink: ResponseSink): boolean {
    const state = this.#state;
    this.#remaining -= slice.length;
    const isLast = this.#remaining === 0;
    if (isLast && state === "chunk-data") {
      this.#chunkLine.startNext();
      this.#state = "chunk-line";
    }
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
    const length = this.#scanner.specials.find(({ name }) => name === "content-length");
    if (length !== undefined) this.#failAtField(lengthBesideCoding(length.index), chunk);
    const fields = this.#specialValues(chunk);
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

  #readChunkLine(chunk: Uint8Array, from: number): number {
    const line = this.#chunkLine;
    const to = line.read(chunk, from);
    if (to < 0) return this.#failBy(line.fault!, chunk);
    if (!line.isDone) return to;
    this.#remaining = line.size;
    this.#state = line.size > 0 ? "chunk-data" : "trailers";
    if (line.size === 0) this.#scanner.startTrailers();
    return to;
  }

  // The field may have begun in an earlier chunk; then nothing of this one was parsed.
  #failAtField({ code, reason, index, inValue }: SpecialFault, chunk: Uint8Array): never {
    const scanner = this.#scanner;
    const at = inValue === undefined ? scanner.mark(index, 1) + 1 : scanner.mark(index, 2) + inValue;
    return this.#fail(code, reason, chunk, Math.max(0, scanner.sectionStart + at));
  }

  #failBy(fault: ByteFault, chunk: Uint8Array): never {
    return this.#fail(fault.code, fault.reason, chunk, fault.at);
  }

  #fail(code: ProtocolErrorCode, reason: string, chunk: Uint8Array, at: number): never {
    this.#state = "failed";
    throw new ProtocolError(code, { reason, bytesParsed: at, rawPacket: new Uint8Array(chunk) });
  }
}
