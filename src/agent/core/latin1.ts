/**
 * Bytes to strings and back, one byte a character, exactly (ISO 8859-1).
 *
 * Owns the only use of node:buffer in the core. TextDecoder("latin1") is no substitute: the Encoding Standard makes
 * it windows-1252, which is wrong for 0x80 to 0x9f. `latin1Slice` takes 50 to 100 ns for a head of 500 bytes on Node,
 * Deno and Bun.
 *
 * @module
 */

import { Buffer } from "node:buffer";

// Present on every Buffer of the three runtimes, the first two absent from their types; all work on any Uint8Array as `this`.
interface Latin1Methods {
  latin1Slice(this: Uint8Array, start: number, end: number): string;
  latin1Write(this: Uint8Array, text: string, offset: number, length: number): number;
  compare(this: Uint8Array, target: Uint8Array, targetStart: number, targetEnd: number): number;
}
const { latin1Slice, latin1Write, compare } = Buffer.prototype as unknown as Latin1Methods;

/** The bytes from `start` up to `end` as a string that holds on to none of them. */
export function decodeLatin1(bytes: Uint8Array, start: number, end: number): string {
  return latin1Slice.call(bytes, start, end);
}

/** True where `wanted` stands in `bytes` at `from`; the caller has seen that so many bytes are there. */
export function hasBytesAt(bytes: Uint8Array, from: number, wanted: Uint8Array): boolean {
  return compare.call(wanted, bytes, from, from + wanted.length) === 0;
}

const encoder = new TextEncoder();

// Almost all heads are ASCII, which is UTF-8 too: on Deno latin1Write makes an array of numbers first, and takes half as
// much time again; on Node and Bun the two are equal.
function writeLatin1(bytes: Uint8Array, text: string): void {
  const { read, written } = encoder.encodeInto(text, bytes);
  if (read !== written || read !== text.length) latin1Write.call(bytes, text, 0, text.length);
}

/** The characters of `text`, each of which must be at most U+00FF, as bytes of their own. */
export function encodeLatin1(text: string): Uint8Array {
  const bytes = Buffer.allocUnsafe(text.length);
  writeLatin1(bytes, text);
  return bytes;
}

/** The same for `text` with `tail` behind it: one array, one write. `tail` is copied. */
export function encodeLatin1With(text: string, tail: Uint8Array): Uint8Array {
  const bytes = Buffer.allocUnsafe(text.length + tail.length);
  writeLatin1(bytes, text);
  bytes.set(tail, text.length);
  return bytes;
}
