/**
 * Content codings undone: gzip, deflate, br, and zstd where the runtime has it (RFC 9110 section 8.4.1, RFC 8878). Owns
 * which codings there are, their order and their number. Knows no connection and no request.
 *
 * Strategy: all or an error, never a body that is half decoded. A small body that is whole by the end of the turn is
 * decoded in one call, a larger one by a chain of the runtime's streams, each of which holds some 16 KiB and waits for
 * the next: a bomb grows in nobody's memory but its reader's.
 *
 * The runtimes tell a broken body from a whole one, except for one that is cut short where the coding itself should
 * have ended: of zstd its frames tell, of br on Deno, where the decoder takes it, a probe behind the end.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import zlib from "node:zlib";
import { trimOws } from "./core/characters.ts";
import { DecodingError } from "./core/errors.ts";
import { ZstdFrames } from "./core/zstd_frames.ts";
import type { BodySink, BodySource } from "./response_body.ts";

/** More layers are an error: curl's limit. */
const MAX_CODINGS = 5;
/** A whole body up to this size is decoded in one call... */
const MAX_WHOLE_BYTES = 16_384;
/** ...if what comes out is no larger than this. */
const MAX_WHOLE_OUTPUT_BYTES = 262_144;

/** The part of a runtime's zlib stream that is used. */
interface ZlibStream {
  readonly readableLength: number;
  write(chunk: Uint8Array, done?: () => void): boolean;
  end(chunk?: Uint8Array): void;
  pause(): void;
  resume(): void;
  destroy(): void;
  on(event: "data", listener: (chunk: Uint8Array) => void): void;
  on(event: "drain" | "end", listener: () => void): void;
  on(event: "error", listener: (error: Error) => void): void;
  once(event: "data", listener: () => void): void;
}

interface Coding {
  open(): ZlibStream;
  whole(bytes: Uint8Array, options: { maxOutputLength: number }): Uint8Array;
}

/** Node has zstd since 22.15. */
const zstd = zlib as unknown as {
  createZstdDecompress?: (() => ZlibStream) | undefined;
  zstdDecompressSync?: Coding["whole"] | undefined;
};

const GZIP: Coding = { open: () => zlib.createGunzip(), whole: zlib.gunzipSync };
const INFLATE: Coding = { open: () => zlib.createInflate(), whole: zlib.inflateSync };
const INFLATE_RAW: Coding = { open: () => zlib.createInflateRaw(), whole: zlib.inflateRawSync };
const BROTLI: Coding = { open: () => zlib.createBrotliDecompress(), whole: zlib.brotliDecompressSync };
const { createZstdDecompress, zstdDecompressSync } = zstd;
const ZSTD: Coding | undefined = createZstdDecompress === undefined || zstdDecompressSync === undefined
  ? undefined
  : { open: createZstdDecompress, whole: zstdDecompressSync };

/** What fetch offers in Accept-Encoding. */
export const ACCEPT_ENCODING: string = ZSTD === undefined ? "gzip, deflate, br" : "gzip, deflate, br, zstd";

// "hello" without its last byte: Deno takes it.
function brotliSeesTruncation(): boolean {
  try {
    zlib.brotliDecompressSync(Buffer.from([0x0b, 0x02, 0x80, 0x68, 0x65, 0x6c, 0x6c, 0x6f]));
    return false;
  } catch {
    return true; // As it should be.
  }
}

const seesBrotliTruncation = brotliSeesTruncation();
/**
 * What a decoder that says nothing of an end that comes too soon is given behind it: one that is done takes no notice, any
 * other one finds it broken or makes something of it. Measured on Deno with every cut of streams of qualities 0 to 11; 64
 * bytes are not enough.
 */
const PROBE = new Uint8Array(16_384);
const NO_BYTES = new Uint8Array(0);

/** The name of a coding as Content-Encoding has it; "deflate" is found out by its first byte. */
type CodingName = "gzip" | "deflate" | "br" | "zstd";

function nameOf(token: string): CodingName {
  switch (token) {
    case "gzip":
    case "x-gzip":
      return "gzip";
    case "deflate":
    case "br":
      return token;
    case "zstd":
      if (ZSTD !== undefined) return token;
  }
  throw new DecodingError(`Cannot decode the content coding "${token.slice(0, 32)}"`);
}

/**
 * Reads a Content-Encoding: the codings in the order in which they are undone; empty: there is nothing to do. Throws
 * DecodingError for an unknown one, or more than five.
 */
export function readCodings(contentEncoding: string | undefined): readonly CodingName[] {
  if (contentEncoding === undefined) return [];
  const tokens = contentEncoding.toLowerCase().split(",").map(trimOws)
    .filter((token) => token !== "" && token !== "identity");
  if (tokens.length > MAX_CODINGS) {
    throw new DecodingError(`Cannot decode ${tokens.length} content codings, ${MAX_CODINGS} at most`);
  }
  return tokens.reverse().map(nameOf);
}

// RFC 9110 section 8.4.1.2: deflate is zlib's format; some servers send the bare data, whose first byte shows it.
function codingOf(name: CodingName, firstByte: number | undefined): Coding {
  switch (name) {
    case "gzip":
      return GZIP;
    case "deflate":
      return firstByte === undefined || (firstByte & 0x0f) === 8 ? INFLATE : INFLATE_RAW;
    case "br":
      return BROTLI;
    case "zstd":
      return ZSTD!;
  }
}

function isWholeZstd(bytes: Uint8Array): boolean {
  const frames = new ZstdFrames();
  frames.take(bytes);
  return frames.isWhole;
}

function cutShort(): Error {
  return new Error("The data ends too soon");
}

/** See the file's comment. Stands between the connection, as its sink, and the body, as its source. */
export class ContentDecoder implements BodySink, BodySource {
  readonly #codings: readonly CodingName[];
  readonly #source: BodySource;
  #sink!: BodySink;
  /** What came in the first turn; undefined: it has been handed on. */
  #held: Uint8Array[] | undefined = [];
  #heldBytes = 0;
  #streams: ZlibStream[] = [];
  /** Of each layer, where it is zstd. */
  #frames: (ZstdFrames | undefined)[] = [];
  /** All that comes of it from now on shows that its input was cut short. */
  #probed: ZlibStream | undefined;
  /** All has come. */
  #isEnded = false;
  /** All has been decoded: on Deno that may be said before the end has come. */
  #isDecoded = false;
  #isOver = false;

  /** `codings` are not empty; `source` is the connection's. */
  constructor(codings: readonly CodingName[], source: BodySource) {
    this.#codings = codings;
    this.#source = source;
  }

  /** Where the decoded bytes go: before any other call. */
  connect(sink: BodySink): void {
    this.#sink = sink;
  }

  /** {@linkcode BodySink}. */
  push(chunk: Uint8Array): boolean {
    if (this.#isOver || this.#isDecoded) return true;
    // Lent for the call, and zlib reads it later.
    const bytes = new Uint8Array(chunk);
    if (this.#held === undefined) return this.#write(bytes);
    if (this.#held.length === 0) queueMicrotask(() => this.#handOn());
    this.#held.push(bytes);
    this.#heldBytes += bytes.length;
    return this.#heldBytes <= MAX_WHOLE_BYTES || this.#handOn();
  }

  /** {@linkcode BodySink}. */
  complete(): void {
    if (this.#isOver) return;
    this.#isEnded = true;
    if (this.#isDecoded) return this.#onEnd();
    if (this.#held === undefined) return this.#end(0);
    // A body of no bytes has nothing to decode, whatever its head says.
    if (this.#held.length === 0 || this.#decodeWhole()) {
      this.#isOver = true;
      return this.#sink.complete();
    }
    this.#handOn();
  }

  /** {@linkcode BodySink}. */
  fail(error: Error): void {
    this.#stop();
    this.#sink.fail(error);
  }

  /** {@linkcode BodySource}: the reader has room. */
  resumeBody(): void {
    this.#streams[this.#streams.length - 1]?.resume();
  }

  /** {@linkcode BodySource}: the reader gives up. */
  abortBody(error: Error): void {
    this.#stop();
    this.#source.abortBody(error);
    // Where the connection was done already nobody else says so.
    this.#sink.fail(error);
  }

  #decodeWhole(): boolean {
    // brotliDecompressSync that does not see a cut sees no other fault either (measured on Deno 2.9); its stream does.
    if (!seesBrotliTruncation && this.#codings.includes("br")) return false;
    let bytes: Uint8Array = this.#held!.length === 1 ? this.#held![0]! : Buffer.concat(this.#held!);
    try {
      for (const name of this.#codings) {
        if (name === "zstd" && !isWholeZstd(bytes)) return false;
        bytes = codingOf(name, bytes[0]).whole(bytes, { maxOutputLength: MAX_WHOLE_OUTPUT_BYTES });
      }
    } catch {
      // Too large, or broken: the streams tell which.
      return false;
    }
    if (bytes.length > 0) this.#sink.push(bytes);
    return true;
  }

  /** What is held goes to the streams; false: no more for now. */
  #handOn(): boolean {
    const held = this.#held;
    if (held === undefined || this.#isOver) return true;
    this.#held = undefined;
    this.#open(held[0]![0]!);
    let goesOn = true;
    for (const chunk of held) goesOn = this.#write(chunk);
    if (this.#isEnded) this.#end(0);
    return goesOn;
  }

  #write(bytes: Uint8Array): boolean {
    this.#frames[0]?.take(bytes);
    return this.#streams[0]!.write(bytes);
  }

  /** The first byte of an inner layer is not known here: two deflates on top of each other are taken to be zlib's. */
  #open(firstByte: number): void {
    const streams = this.#codings.map((name, index) =>
      codingOf(name, index === 0 ? firstByte : undefined).open()
    );
    this.#streams = streams;
    this.#frames = this.#codings.map((name) => name === "zstd" ? new ZstdFrames() : undefined);
    streams.forEach((stream, index) => {
      const next = streams[index + 1];
      stream.on("error", (error) => this.#onError(error));
      stream.on("drain", () => this.#onDrain(index));
      stream.on("end", () => next === undefined ? this.#onEnd() : this.#end(index + 1));
      stream.on("data", (chunk) => {
        if (this.#probed === stream) return this.#onError(cutShort());
        this.#frames[index + 1]?.take(chunk);
        const goesOn = this.#isOver || (next === undefined ? this.#sink.push(chunk) : next.write(chunk));
        if (!goesOn) stream.pause();
      });
    });
  }

  /** A layer has been given all there is. */
  #end(index: number): void {
    if (this.#frames[index]?.isWhole === false) return this.#onError(cutShort());
    const stream = this.#streams[index]!;
    if (this.#codings[index] !== "br" || seesBrotliTruncation) stream.end();
    else stream.write(NO_BYTES, () => this.#probe(stream));
  }

  /** Everything has been decoded; what is still unread goes first. */
  #probe(stream: ZlibStream): void {
    if (this.#isOver) return;
    if (stream.readableLength > 0) {
      return void stream.once("data", () => queueMicrotask(() => this.#probe(stream)));
    }
    this.#probed = stream;
    stream.end(PROBE);
  }

  #onDrain(index: number): void {
    if (index > 0) this.#streams[index - 1]?.resume();
    else if (!this.#isEnded) this.#source.resumeBody();
  }

  #onEnd(): void {
    this.#isDecoded = true;
    if (this.#isOver || !this.#isEnded) return;
    this.#stop();
    this.#sink.complete();
  }

  #onError(cause: Error): void {
    if (this.#isOver) return;
    this.abortBody(new DecodingError("The content coding of the body is broken", { cause }));
  }

  #stop(): void {
    this.#isOver = true;
    this.#held = undefined;
    for (const stream of this.#streams) stream.destroy();
    this.#streams = [];
  }
}
