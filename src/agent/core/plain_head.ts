/**
 * The loop for a head as almost all are: whole in one chunk, HTTP/1.0 or 1.1, with a reason, without fault.
 *
 * Owns nothing but speed: what it takes it takes as head_scanner.ts would, and what it does not take is read again
 * over there.
 *
 * @module
 */

import { fieldTextEnd, TOKEN } from "./characters.ts";

/** Length of `HTTP/1.1 200 `. */
export const PLAIN_STATUS_LINE_BYTES = 13;

const CR = 0x0d;
const LF = 0x0a;
const SP = 0x20;
const HT = 0x09;
const COLON = 0x3a;

/** Reads plain heads; its members say what the last one held. */
export class PlainHead {
  /** Offsets from the head's start, four a field: start and end of the name, start and end of the value. Reused. */
  readonly marks: number[] = [];
  /** How many of `marks` count. */
  markCount = 0;
  /** 0 or 1. */
  versionMinor = 0;
  /** 100 to 999. */
  status = 0;
  /** Offset from the head's start of the end of the reason phrase. */
  reasonEnd = 0;

  /** The end of the head that begins at `from` and ends before `end`; -1: it is none of these. */
  run(bytes: Uint8Array, from: number, end: number): number {
    let at = from + PLAIN_STATUS_LINE_BYTES;
    if (at >= end || !isPlainStatusLine(bytes, from)) return -1;
    at = fieldTextEnd(bytes, at, end);
    if (at + 1 >= end || bytes[at] !== CR || bytes[at + 1] !== LF) return -1;
    this.versionMinor = bytes[from + 7]! - 0x30;
    this.status = 100 * bytes[from + 9]! + 10 * bytes[from + 10]! + bytes[from + 11]! - 111 * 0x30;
    this.reasonEnd = at - from;
    return this.#runFields(bytes, from, at + 2, end);
  }

  #runFields(bytes: Uint8Array, base: number, from: number, end: number): number {
    const marks = this.marks;
    let count = 0;
    let at = from;
    for (; at < end && bytes[at] !== CR; at += 2) {
      const nameStart = at;
      while (at < end && TOKEN[bytes[at]!] === 1) at++;
      if (at === nameStart || at + 1 >= end || bytes[at] !== COLON) return -1;
      marks[count++] = nameStart - base;
      marks[count++] = at - base;
      at += bytes[at + 1] === SP ? 2 : 1;
      const valueStart = at;
      at = fieldTextEnd(bytes, at, end);
      if (at + 1 >= end || bytes[at] !== CR || bytes[at + 1] !== LF) return -1;
      // Whitespace to be cut off is the scanner's.
      if (isSpace(bytes[valueStart]!) || isSpace(bytes[at - 1]!)) return -1;
      marks[count++] = valueStart - base;
      marks[count++] = at - base;
    }
    if (at + 1 >= end || bytes[at + 1] !== LF) return -1;
    this.markCount = count;
    return at + 2;
  }
}

// "HTTP/1.x ddd " at `from`; the caller has seen that so many bytes are there.
function isPlainStatusLine(bytes: Uint8Array, from: number): boolean {
  return bytes[from] === 0x48 && bytes[from + 1] === 0x54 && bytes[from + 2] === 0x54 &&
    bytes[from + 3] === 0x50 && bytes[from + 4] === 0x2f && bytes[from + 5] === 0x31 &&
    bytes[from + 6] === 0x2e && (bytes[from + 7] === 0x31 || bytes[from + 7] === 0x30) &&
    bytes[from + 8] === SP && bytes[from + 9]! >= 0x31 && bytes[from + 9]! <= 0x39 &&
    isDigit(bytes[from + 10]!) && isDigit(bytes[from + 11]!) && bytes[from + 12] === SP;
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function isSpace(byte: number): boolean {
  return byte === SP || byte === HT;
}
