/**
 * What stands between the data of chunks: the line end behind it, and the next chunk's size line (RFC 9112 section 7.1).
 *
 * Owns that grammar, extensions included, strict as llhttp is, and the limit of a line. Knows nothing of data, trailers
 * or sinks. A state machine that can stop at any byte and keeps none.
 *
 * @module
 */

import { FIELD_TEXT, TOKEN } from "./characters.ts";
import type { ByteFault, ProtocolErrorCode } from "./errors.ts";
import type { Leniency } from "./leniency.ts";

/** What is awaited. */
export type ChunkLineState =
  | "chunk-size"
  | "chunk-size-space"
  | "chunk-extension-start"
  | "chunk-extension-name"
  | "chunk-extension-value"
  | "chunk-extension-quoted"
  | "chunk-extension-escape"
  | "chunk-extension-closed"
  | "chunk-line-end"
  | "chunk-data-end"
  | "chunk-data-end-lf";

const CR = 0x0d;
const LF = 0x0a;
const SP = 0x20;
const HT = 0x09;
const SEMICOLON = 0x3b;

/** Reads size lines; armed again for each. */
export class ChunkLine {
  readonly #maxBytes: number;
  readonly #leniency: Leniency;
  #bytes = 0;

  /** What is awaited. */
  state: ChunkLineState = "chunk-size";
  /** Bytes of the chunk that the line announces; 0: it was the last. */
  size = 0;
  /** True when the line is complete. */
  isDone = false;
  /** What is wrong; set when `read` returns -1. */
  fault: ByteFault | undefined;

  /** `maxBytes`: of a size line with its extensions. */
  constructor(maxBytes: number, leniency: Leniency) {
    this.#maxBytes = maxBytes;
    this.#leniency = leniency;
  }

  /** Ready for the first size line of a body. */
  startFirst(): void {
    this.#startSize();
  }

  /** Ready for the line end behind a chunk's data, and the size line behind that. */
  startNext(): void {
    this.#startSize();
    this.state = "chunk-data-end";
  }

  /** Reads `bytes` from `from` on; the offset behind the last byte taken, or -1: see `fault`. */
  read(bytes: Uint8Array, from: number): number {
    let at = from;
    while (at < bytes.length) {
      const byte = bytes[at]!;
      if (++this.#bytes > this.#maxBytes) {
        return this.#fail("HPE_CHUNK_EXTENSIONS_OVERFLOW", "Chunk extensions overflow", at);
      }
      switch (this.state) {
        case "chunk-data-end":
        case "chunk-data-end-lf":
          at = this.#dataEndByte(byte, at);
          break;
        case "chunk-size":
        case "chunk-size-space":
          at = this.#sizeByte(byte, at);
          break;
        case "chunk-line-end":
          at = this.#lineEndByte(byte, at);
          break;
        default:
          at = this.#extensionByte(byte, at);
      }
      if (at < 0 || this.isDone) return at;
    }
    return at;
  }

  #startSize(): void {
    this.state = "chunk-size";
    this.size = 0;
    this.isDone = false;
    this.#bytes = 0;
  }

  // These take one byte each: the offset behind it, its own where leniency leaves it to the next state, or -1.
  #dataEndByte(byte: number, at: number): number {
    const isFirst = this.state === "chunk-data-end";
    if (byte === CR && isFirst) {
      this.state = "chunk-data-end-lf";
      return at + 1;
    }
    if (byte === LF && isFirst && !this.#leniency.optionalCrBeforeLf) {
      return this.#fail("HPE_CR_EXPECTED", "Missing expected CR after chunk data", at + 1);
    }
    if (byte !== LF && !(isFirst && this.#leniency.optionalCrlfAfterChunk)) {
      return this.#fail("HPE_STRICT", "Expected LF after chunk data", at);
    }
    this.#startSize();
    return byte === LF ? at + 1 : at;
  }

  #sizeByte(byte: number, at: number): number {
    const digit = this.state === "chunk-size" ? hexDigit(byte) : -1;
    if (digit >= 0) {
      this.size = this.size * 16 + digit;
      if (this.size <= Number.MAX_SAFE_INTEGER) return at + 1;
      return this.#fail("HPE_INVALID_CHUNK_SIZE", "Chunk size overflow", at);
    }
    const hasDigit = this.#bytes > 1;
    if (hasDigit && byte === CR) this.state = "chunk-line-end";
    else if (hasDigit && byte === SEMICOLON) this.state = "chunk-extension-start";
    else if (hasDigit && byte === LF) return this.#bareLf("Missing expected CR after chunk size", at, at + 1);
    else if (hasDigit && (byte === SP || byte === HT) && this.#leniency.spacesAfterChunkSize) {
      this.state = "chunk-size-space";
    } else {
      const stop = hasDigit && (byte === SP || byte === HT) ? at + 1 : at;
      return this.#fail("HPE_INVALID_CHUNK_SIZE", "Invalid character in chunk size", stop);
    }
    return at + 1;
  }

  #extensionByte(byte: number, at: number): number {
    const next = extensionState(this.state, byte);
    if (next !== undefined) {
      this.state = next;
      return at + 1;
    }
    const { part, isReadOn } = extensionFault(this.state, byte);
    if (byte === LF && mayEndExtension(this.state)) {
      return this.#bareLf(
        `Missing expected CR after chunk extension ${part === "name" ? part : "value"}`,
        at,
        at,
      );
    }
    const reason = this.state === "chunk-extension-escape"
      ? "Invalid quoted-pair in chunk extensions quoted value"
      : `Invalid character in chunk extensions ${part}`.trimEnd();
    return this.#fail("HPE_STRICT", reason, isReadOn ? at + 1 : at);
  }

  #lineEndByte(byte: number, at: number): number {
    if (byte !== LF && !this.#leniency.optionalLfAfterCr) {
      return this.#fail("HPE_STRICT", "Expected LF after chunk size", at);
    }
    this.isDone = true;
    return byte === LF ? at + 1 : at;
  }

  // `stop`: where llhttp says that it stopped.
  #bareLf(reason: string, at: number, stop: number): number {
    if (!this.#leniency.optionalCrBeforeLf) return this.#fail("HPE_CR_EXPECTED", reason, stop);
    this.isDone = true;
    return at + 1;
  }

  #fail(code: ProtocolErrorCode, reason: string, at: number): number {
    this.fault = { code, reason, at };
    return -1;
  }
}

function hexDigit(byte: number): number {
  if (byte >= 0x30 && byte <= 0x39) return byte - 0x30;
  const letter = byte | 0x20;
  return letter >= 0x61 && letter <= 0x66 ? letter - 0x57 : -1;
}

// llhttp's name of the part of an extension that `byte` has no place in, and whether it stops behind that byte.
function extensionFault(state: ChunkLineState, byte: number): { part: string; isReadOn: boolean } {
  switch (state) {
    case "chunk-extension-start":
      return { part: byte === SP || byte === CR ? "" : "name", isReadOn: true };
    case "chunk-extension-name":
      return { part: "name", isReadOn: true };
    case "chunk-extension-value":
      return { part: "value", isReadOn: true };
    case "chunk-extension-closed":
      return { part: "quote value", isReadOn: false };
    default:
      return { part: "quoted value", isReadOn: true };
  }
}

function mayEndExtension(state: ChunkLineState): boolean {
  return state === "chunk-extension-start" || state === "chunk-extension-name" ||
    state === "chunk-extension-value" ||
    state === "chunk-extension-closed";
}

/** The state behind `byte` in a chunk extension (RFC 9112 section 7.1.1); undefined: not allowed there. */
function extensionState(state: ChunkLineState, byte: number): ChunkLineState | undefined {
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

function extensionEnd(byte: number): ChunkLineState | undefined {
  if (byte === SEMICOLON) return "chunk-extension-start";
  return byte === CR ? "chunk-line-end" : undefined;
}
