/**
 * Reads one response head or one trailer section out of chunks.
 *
 * Owns where the bytes are until the section is complete, its limit, and the choice between the readers of one
 * grammar: short cuts for a head that is whole and without fault, as almost all are (head_template.ts,
 * plain_head.ts), and the machine (head_machine.ts), which reads what they did not take again from the first byte, so
 * that they never decide that something is wrong. Knows nothing of framing, bodies or sinks. Only a section that is
 * split is gathered, in a buffer that never exceeds the limit. Nothing of a chunk is kept: the decoded text is a copy.
 *
 * @module
 */

import type { ByteFault } from "./errors.ts";
import type { HeadImage } from "./head_image.ts";
import { HeadMachine } from "./head_machine.ts";
import type { HeadTemplate } from "./head_template.ts";
import { decodeLatin1 } from "./latin1.ts";
import type { Leniency } from "./leniency.ts";
import { PLAIN_STATUS_LINE_BYTES, PlainHead } from "./plain_head.ts";
import { findSpecials, NO_SPECIALS, type SpecialField, type SpecialMemo } from "./special_fields.ts";

// One for all scanners: nothing of it is needed beyond the call that fills it.
const PLAIN = new PlainHead();

/** Reads sections; armed again for each. */
export class HeadScanner {
  readonly #maxBytes: number;
  readonly #maxLines: number;
  readonly #leniency: Leniency;
  // Made when first needed: most connections never do.
  #machine: HeadMachine | undefined;
  // The short cuts are for heads, not for trailers.
  #isHead = false;
  // The bytes of a split section, and how many.
  #gathered: Uint8Array | undefined;
  #gatheredBytes = 0;
  #reasonStart = 0;

  /** What the next head will probably look like; replaced between two heads. */
  template: HeadTemplate;
  /** True when the section is complete; what follows is set then. */
  isDone = false;
  /** Offset of its first byte in what `scan` was given last; below 0: it began in an earlier chunk. */
  sectionStart = 0;
  /** The decoded section, and perhaps some bytes behind it; empty where there is an `image`. */
  text = "";
  /** Offsets in `text`, four a field: start and end of the name, start and end of the value. Never written to. */
  marks: readonly number[] = [];
  /** Knows the fields, in the place of `text` and `marks`, until the next head is read. */
  image: HeadImage | undefined;
  /** The fields that the codec itself heeds. */
  specials: readonly SpecialField[] = NO_SPECIALS;
  /** What they say, where earlier heads said the same. */
  memo: SpecialMemo | undefined;
  /** True where a value holds a line end, which `value` takes out: a folded line, which only leniency lets in. */
  isFolded = false;
  /** Of `HTTP/1.0`: 1. */
  versionMajor = 0;
  /** Of `HTTP/1.0`: 0. */
  versionMinor = 0;
  /** 100 to 999. */
  status = 0;
  /** Offset in `text` of the end of the reason phrase. */
  reasonEnd = 0;
  /** What is wrong; set when `scan` returns -1. */
  fault: ByteFault | undefined;

  /** `maxBytes` counts every byte of the section, line ends included. `template` may be shared between scanners. */
  constructor(maxBytes: number, maxLines: number, leniency: Leniency, template: HeadTemplate) {
    this.#maxBytes = maxBytes;
    this.#maxLines = maxLines;
    this.#leniency = leniency;
    this.template = template;
  }

  /** Ready for a response head. */
  startHead(): void {
    this.#arm(true);
  }

  /** Ready for a trailer section. */
  startTrailers(): void {
    this.#arm(false);
  }

  /** The reason phrase of a finished head. */
  get reasonPhrase(): string {
    return this.image === undefined
      ? this.text.slice(this.#reasonStart, this.reasonEnd)
      : this.image.reasonPhrase;
  }

  /** The number of fields of a finished section. */
  get fieldCount(): number {
    return this.image === undefined ? this.marks.length >> 2 : this.image.fieldCount;
  }

  /** Offset in the section of a field's edge: 0 and 1 are its name's, 2 and 3 its value's. */
  mark(index: number, edge: 0 | 1 | 2 | 3): number {
    return (this.image?.marks ?? this.marks)[4 * index + edge]!;
  }

  /** The name of field `index`, as received; where there is no `image`. */
  name(index: number): string {
    return this.text.slice(this.marks[4 * index]!, this.marks[4 * index + 1]!);
  }

  /** The value of field `index`, without the whitespace around it. */
  value(index: number): string {
    if (this.image !== undefined) return this.image.value(index);
    const value = this.text.slice(this.marks[4 * index + 2]!, this.marks[4 * index + 3]!);
    return this.isFolded ? value.replace(/[\r\n]+/g, "") : value;
  }

  /**
   * Reads `bytes` from `from` on and returns the offset behind the last byte taken; -1: see `fault`. All bytes are
   * taken unless the section is complete.
   */
  scan(bytes: Uint8Array, from: number): number {
    if (from === bytes.length) return from;
    this.sectionStart = from - this.#gatheredBytes;
    if (this.#gathered !== undefined) return this.#scanGathered(bytes, from);
    const limit = Math.min(bytes.length, from + this.#maxBytes);
    if (this.#isHead) {
      const end = this.#scanPlain(bytes, from, limit);
      if (end >= 0) return end;
    }
    const machine = this.#startMachine();
    const to = machine.run(bytes, from, from, limit);
    if (to < 0) return this.#fail(machine.fault!);
    if (machine.isDone) {
      this.#finishByMachine(machine, decodeLatin1(bytes, from, to));
      return to;
    }
    if (limit < bytes.length) return this.#overflow(limit);
    this.#gather(bytes, from, to);
    return to;
  }

  #startMachine(): HeadMachine {
    const machine = this.#machine ??= new HeadMachine(this.#maxLines, this.#leniency);
    if (this.#isHead) machine.startHead();
    else machine.startTrailers();
    return machine;
  }

  // The short cuts; -1: neither took it.
  #scanPlain(bytes: Uint8Array, from: number, limit: number): number {
    const { template } = this;
    const matched = template.match(bytes, from, limit);
    if (matched >= 0) {
      const guess = template.matched!;
      if (guess.marks.length >> 2 > this.#maxLines) return -1;
      this.#finishPlain(guess.versionMinor, guess.status, guess.reasonEnd);
      this.text = guess.text;
      this.marks = guess.marks;
      this.image = guess.image;
      this.specials = guess.specials;
      this.memo = guess.memo;
      return matched;
    }
    const plain = PLAIN;
    const end = plain.run(bytes, from, limit);
    if (end < 0 || plain.markCount >> 2 > this.#maxLines) return -1;
    this.#finishPlain(plain.versionMinor, plain.status, plain.reasonEnd);
    this.#finish(decodeLatin1(bytes, from, end), plain.marks.slice(0, plain.markCount));
    // An interim response is not what the next response will look like.
    if (plain.status >= 200 && template.isOpen) template.learn(bytes, from, this);
    return end;
  }

  // The section began in an earlier chunk: continue on the gathered copy, where all offsets still hold.
  #scanGathered(bytes: Uint8Array, from: number): number {
    const before = this.#gatheredBytes;
    const taken = Math.min(bytes.length - from, this.#maxBytes - before);
    this.#gather(bytes, from, from + taken);
    const machine = this.#machine!;
    const to = machine.run(this.#gathered!, 0, before, this.#gatheredBytes);
    if (to < 0) {
      const fault = machine.fault!;
      return this.#fail({ ...fault, at: from + fault.at - before });
    }
    if (machine.isDone) {
      this.#finishByMachine(machine, decodeLatin1(this.#gathered!, 0, to));
      this.#gathered = undefined;
      return from + to - before;
    }
    return taken < bytes.length - from ? this.#overflow(from + taken) : bytes.length;
  }

  #arm(isHead: boolean): void {
    this.#isHead = isHead;
    this.#gathered = undefined;
    this.#gatheredBytes = 0;
    this.isDone = false;
    this.isFolded = false;
  }

  #finishPlain(versionMinor: number, status: number, reasonEnd: number): void {
    this.versionMajor = 1;
    this.versionMinor = versionMinor;
    this.status = status;
    this.#reasonStart = PLAIN_STATUS_LINE_BYTES;
    this.reasonEnd = reasonEnd;
    this.isDone = true;
  }

  #finishByMachine(machine: HeadMachine, text: string): void {
    this.versionMajor = machine.versionMajor;
    this.versionMinor = machine.versionMinor;
    this.status = machine.status;
    this.#reasonStart = machine.reasonStart;
    this.reasonEnd = machine.reasonEnd;
    this.isFolded = machine.isFolded;
    this.#finish(text, machine.marks.slice(0, machine.markCount));
    this.isDone = true;
  }

  #finish(text: string, marks: readonly number[]): void {
    this.text = text;
    this.marks = marks;
    this.image = undefined;
    this.specials = findSpecials(text, marks);
    this.memo = undefined;
  }

  #gather(bytes: Uint8Array, from: number, to: number): void {
    const needed = this.#gatheredBytes + to - from;
    let buffer = this.#gathered;
    if (buffer === undefined || buffer.length < needed) {
      const larger = new Uint8Array(Math.min(this.#maxBytes, Math.max(1024, 2 * needed)));
      if (buffer !== undefined) larger.set(buffer.subarray(0, this.#gatheredBytes));
      buffer = this.#gathered = larger;
    }
    buffer.set(bytes.subarray(from, to), this.#gatheredBytes);
    this.#gatheredBytes = needed;
  }

  #overflow(at: number): number {
    return this.#fail({ code: "HPE_HEADER_OVERFLOW", reason: "Header overflow", at });
  }

  #fail(fault: ByteFault): number {
    this.fault = fault;
    return -1;
  }
}
