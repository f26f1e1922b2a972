/**
 * What a head will probably look like: one that came before, with holes where values were seen to change.
 *
 * Owns a guess, never a judgement: what it accepts is byte for byte a head that the scanner has judged sound before,
 * but for the values in the holes, whose bytes it judges itself, by the scanner's own rule. Values of the lengths of
 * last time are compared as bytes (head_image.ts), of others as text.
 *
 * @module
 */

import { fieldTextEnd, isOws } from "./characters.ts";
import { HeadImage } from "./head_image.ts";
import { decodeLatin1 } from "./latin1.ts";
import { PLAIN_STATUS_LINE_BYTES } from "./plain_head.ts";
import type { SpecialField, SpecialMemo } from "./special_fields.ts";

/** What the scanner found in a head. */
export interface FoundHead {
  /** The decoded head. */
  readonly text: string;
  /** Offsets in `text`, four a field. */
  readonly marks: readonly number[];
  /** Of `HTTP/1.0`: 0. */
  readonly versionMinor: number;
  /** 200 to 999. */
  readonly status: number;
  /** Offset in `text` of the end of the reason phrase. */
  readonly reasonEnd: number;
  /** The fields that the codec itself heeds. */
  readonly specials: readonly SpecialField[];
}

/** Heads of one shape: one status line, the same names in the same order, and most of the values. */
export class HeadGuess {
  // The head last learnt, and its own marks: `marks` are those of the head last matched.
  readonly #text: string;
  readonly #textMarks: readonly number[];
  // The text before, between and behind the holes.
  readonly #parts: readonly string[];
  // The fields whose values are holes, ascending.
  readonly #holes: readonly number[];
  // Ends of the values in the holes, of the head just matched.
  readonly #ends: number[] = [];
  #image: HeadImage;
  // A head with values of other lengths than the image's was matched last.
  #isImageLeft = false;

  /** Knows the fields of the head just matched; undefined: `text` and `marks` do. */
  image: HeadImage | undefined;
  /** The text of the head just matched, and perhaps bytes behind it; empty where there is an `image`. */
  text = "";
  /** Offsets in `text`, four a field, as HeadScanner has them. Shared between heads: never written to. */
  marks: readonly number[];
  /** Of `HTTP/1.0`: 0. */
  readonly versionMinor: number;
  /** 200 to 999. */
  readonly status: number;
  /** Offset in `text` of the end of the reason phrase. */
  readonly reasonEnd: number;
  /** The fields that the codec itself heeds. */
  readonly specials: readonly SpecialField[];
  /** What they say; undefined: one of their values is a hole. */
  readonly memo: SpecialMemo | undefined;

  /** Takes the head in `bytes` from `from` on, which the scanner has judged; `holes` are indices of fields, ascending. */
  constructor(bytes: Uint8Array, from: number, head: FoundHead, holes: readonly number[]) {
    const { text, marks, specials } = head;
    this.#text = text;
    this.#textMarks = this.marks = marks;
    this.#holes = holes;
    this.versionMinor = head.versionMinor;
    this.status = head.status;
    this.reasonEnd = head.reasonEnd;
    this.specials = specials;
    this.memo = specials.some(({ index }) => holes.includes(index))
      ? undefined
      : { strict: undefined, lenient: undefined };
    this.#parts = partsOf(bytes, from, head, holes);
    this.#image = this.#imageOf(bytes, from, text);
  }

  /** Characters of the head that was learnt. */
  get length(): number {
    return this.#text.length;
  }

  /** False where every head of this shape is the same. */
  get hasHoles(): boolean {
    return this.#holes.length > 0;
  }

  /** The offset in `bytes` behind a head of this shape that begins at `from` and has values of the lengths of last time; -1: none does. */
  matchImage(bytes: Uint8Array, from: number, limit: number): number {
    const image = this.#image;
    const end = from + image.length;
    // Heads of other shapes mostly end elsewhere.
    if (end > limit || bytes[end - 1] !== 0x0a || bytes[end - 3] !== 0x0a) return -1;
    if (!image.fits(bytes, from) || !image.equals(bytes, from)) return -1;
    this.image = image;
    this.text = "";
    this.#isImageLeft = false;
    return end;
  }

  /** The same for values of any lengths; `text` is what begins at `from`, as much as there is or may be needed. */
  matchText(text: string, bytes: Uint8Array, from: number, limit: number): number {
    const parts = this.#parts;
    const last = parts.length - 1;
    let at = 0;
    for (let i = 0; i <= last; i++) {
      const part = parts[i]!;
      const partEnd = at + part.length;
      if (text.slice(at, partEnd) !== part) return -1;
      at = partEnd;
      if (i < last) {
        at = valueEnd(bytes, from + at, limit) - from;
        if (at < 0) return -1;
        this.#ends[i] = at;
      }
    }
    this.text = text;
    this.image = undefined;
    const isShifted = this.#shiftMarks();
    // Lengths that alternate would else make an image each time.
    if (this.#isImageLeft && !isShifted) this.#image = this.#imageOf(bytes, from, text.slice(0, at));
    this.#isImageLeft = isShifted || !this.#isImageLeft;
    return from + at;
  }

  /** The guess that knows `head` too, by more holes; undefined: it has another shape. */
  widened(bytes: Uint8Array, from: number, head: FoundHead): HeadGuess | undefined {
    const { text, marks, reasonEnd } = head;
    const before = this.#text;
    const known = this.#textMarks;
    if (known.length !== marks.length || text.slice(0, reasonEnd) !== before.slice(0, this.reasonEnd)) {
      return undefined;
    }
    const holes: number[] = [];
    for (let mark = 0; mark < marks.length; mark += 4) {
      const name = text.slice(marks[mark]!, marks[mark + 1]!);
      if (name !== before.slice(known[mark]!, known[mark + 1]!)) return undefined;
      const value = text.slice(marks[mark + 2]!, marks[mark + 3]!);
      const field = mark >> 2;
      if (this.#holes.includes(field) || value !== before.slice(known[mark + 2]!, known[mark + 3]!)) {
        holes.push(field);
      }
    }
    return new HeadGuess(bytes, from, head, holes);
  }

  // `marks` are those of `text`.
  #imageOf(bytes: Uint8Array, from: number, text: string): HeadImage {
    const reasonPhrase = text.slice(PLAIN_STATUS_LINE_BYTES, this.reasonEnd);
    return new HeadImage(bytes, from, text, this.marks, this.#holes, reasonPhrase);
  }

  // Where the values in the holes have their lengths of last time, the marks stay: false; else there are new ones.
  #shiftMarks(): boolean {
    const holes = this.#holes;
    let isShifted = false;
    for (let i = 0; i < holes.length; i++) isShifted ||= this.marks[4 * holes[i]! + 3] !== this.#ends[i];
    if (!isShifted) return false;
    const old = this.marks;
    const marks = old.slice();
    let shift = 0;
    let hole = 0;
    for (let mark = 0; mark < marks.length; mark += 4) {
      marks[mark] = old[mark]! + shift;
      marks[mark + 1] = old[mark + 1]! + shift;
      marks[mark + 2] = old[mark + 2]! + shift;
      if (mark >> 2 === holes[hole]) shift = this.#ends[hole++]! - old[mark + 3]!;
      marks[mark + 3] = old[mark + 3]! + shift;
    }
    this.marks = marks;
    return true;
  }
}

function partsOf(bytes: Uint8Array, from: number, head: FoundHead, holes: readonly number[]): string[] {
  const { text, marks } = head;
  const parts: string[] = [];
  let at = from;
  for (const field of holes) {
    parts.push(decodeLatin1(bytes, at, from + marks[4 * field + 2]!));
    at = from + marks[4 * field + 3]!;
  }
  parts.push(decodeLatin1(bytes, at, from + text.length));
  return parts;
}

// The end of a value from `at` on that the scanner would take as it stands; -1: it has to look itself.
function valueEnd(bytes: Uint8Array, start: number, limit: number): number {
  const at = fieldTextEnd(bytes, start, limit);
  return at > start && (isOws(bytes[start]!) || isOws(bytes[at - 1]!)) ? -1 : at;
}
