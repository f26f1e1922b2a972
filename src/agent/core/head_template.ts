/**
 * The shapes of the heads of one origin: what the next head will probably look like.
 *
 * Owns which shapes are remembered, and whether remembering pays; what each takes is head_guess.ts's. A server sends
 * the same lines again and again, and comparing takes less time than reading: for a head of 462 bytes and 12 fields
 * 190 ns in the place of 840 on Deno and of 700 on Bun, 260 in the place of 1,000 on Node 20.
 *
 * @module
 */

import { type FoundHead, HeadGuess } from "./head_guess.ts";
import { decodeLatin1 } from "./latin1.ts";

/** So many shapes: an API with its errors, a page with its assets. */
const MAX_GUESSES = 8;
/** A longer head is not worth remembering. */
const MAX_BYTES = 2_048;
/** By how much the values in the holes may grow all together. */
const MAX_GROWTH = 128;
/** Heads of yet other shapes, more than of these, after which an origin is not guessed about any more. */
const MAX_CREDIT = 8;

/** The shapes of the heads of one origin. */
export class HeadTemplate {
  // The one that was right last comes first.
  #guesses: HeadGuess[] = [];
  #credit: number;

  /** Empty; `credit`: 0 for one that stays so. */
  constructor(credit: number = MAX_CREDIT) {
    this.#credit = credit;
  }

  /** True while guessing pays. */
  get isOpen(): boolean {
    return this.#credit > 0;
  }

  /** The guess that was right last; it knows the head until the next is matched. */
  get matched(): HeadGuess | undefined {
    return this.#guesses[0];
  }

  /** The offset in `bytes` behind a head that begins at `from`, ends before `limit` and has a known shape; -1: none does. */
  match(bytes: Uint8Array, from: number, limit: number): number {
    const guesses = this.#guesses;
    for (let i = 0; i < guesses.length; i++) {
      const end = guesses[i]!.matchImage(bytes, from, limit);
      if (end >= 0) return this.#found(i, end);
    }
    return guesses.length === 0 ? -1 : this.#matchText(bytes, from, limit);
  }

  /** Takes the head in `bytes` from `from` on, which the scanner has judged, among the guesses. */
  learn(bytes: Uint8Array, from: number, head: FoundHead): void {
    const guesses = this.#guesses;
    if (head.text.length > MAX_BYTES) return void this.#spend();
    for (let i = 0; i < guesses.length; i++) {
      const wider = guesses[i]!.widened(bytes, from, head);
      if (wider === undefined) continue;
      guesses[i] = wider;
      return;
    }
    if (guesses.length === MAX_GUESSES) {
      guesses.pop();
      if (this.#spend()) return;
    }
    // As long as it has to be: an array that grows has room for 16 more, in each of ten thousand origins.
    this.#guesses = [new HeadGuess(bytes, from, head, []), ...guesses];
  }

  // True: that was the last of the credit.
  #spend(): boolean {
    if (--this.#credit > 0) return false;
    this.#guesses.length = 0;
    return true;
  }

  #matchText(bytes: Uint8Array, from: number, limit: number): number {
    const guesses = this.#guesses;
    let length = 0;
    for (let i = 0; i < guesses.length; i++) {
      if (guesses[i]!.hasHoles) length = Math.max(length, guesses[i]!.length);
    }
    if (length === 0) return -1;
    const text = decodeLatin1(bytes, from, Math.min(limit, from + length + MAX_GROWTH));
    for (let i = 0; i < guesses.length; i++) {
      const end = guesses[i]!.hasHoles ? guesses[i]!.matchText(text, bytes, from, limit) : -1;
      if (end >= 0) return this.#found(i, end);
    }
    return -1;
  }

  #found(index: number, end: number): number {
    const guesses = this.#guesses;
    const guess = guesses[index]!;
    for (let i = index; i > 0; i--) guesses[i] = guesses[i - 1]!;
    guesses[0] = guess;
    if (this.#credit < MAX_CREDIT) this.#credit++;
    return end;
  }
}
