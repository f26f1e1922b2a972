/**
 * Finds the lines of a response head or of a trailer section, byte by byte, and judges every byte once.
 *
 * Owns the grammar of the status line and of field lines (RFC 9112 sections 4 and 5), strict as llhttp without its
 * lenient flags, each of which can be named. Knows nothing of framing, bodies or sinks. Strategy: a state machine
 * that can stop at any byte, and before it two short cuts for heads that are whole and without fault, as almost all
 * are: head_template.ts and plain_head.ts. What they do not take the machine reads again from the first byte, so that
 * they never decide that something is wrong. Only a section that is split is gathered, in a buffer that never exceeds
 * the limit. Nothing of a chunk is kept: the decoded text is a copy.
 *
 * @module
 */

import { FIELD_TEXT, TOKEN } from "./characters.ts";
import type { ProtocolErrorCode } from "./errors.ts";
import { HeadTemplate } from "./head_template.ts";
import { decodeLatin1 } from "./latin1.ts";
import { PLAIN_STATUS_LINE_BYTES, PlainHead } from "./plain_head.ts";
import { findSpecials, NO_SPECIALS, type SpecialField } from "./special_fields.ts";

/**
 * What `insecureHTTPParser` forgives, each by its own name (Node's sets all of them). llhttp's LENIENT_KEEP_ALIVE and
 * LENIENT_DATA_AFTER_CLOSE have no counterpart: one parser run reads one response, and surplus bytes close the
 * connection. LENIENT_TRANSFER_ENCODING is about requests.
 */
export interface Leniency {
  /** Any octet but CR and LF in values, space before the colon or the first line, folded lines. LENIENT_HEADERS. */
  readonly headers?: boolean | undefined;
  /** Control octets, other than NUL, CR and LF, in values. LENIENT_HEADER_VALUE_RELAXED. */
  readonly headerValueRelaxed?: boolean | undefined;
  /** Content-Length beside Transfer-Encoding, which wins; never reused. LENIENT_CHUNKED_LENGTH. */
  readonly chunkedLength?: boolean | undefined;
  /** Any `HTTP/d.d`. LENIENT_VERSION. */
  readonly version?: boolean | undefined;
  /** CR alone ends a line. LENIENT_OPTIONAL_LF_AFTER_CR. */
  readonly optionalLfAfterCr?: boolean | undefined;
  /** LF alone ends a line. LENIENT_OPTIONAL_CR_BEFORE_LF. */
  readonly optionalCrBeforeLf?: boolean | undefined;
  /** Nothing needed between a chunk's data and the next size. LENIENT_OPTIONAL_CRLF_AFTER_CHUNK. */
  readonly optionalCrlfAfterChunk?: boolean | undefined;
  /** Spaces behind a chunk's size. LENIENT_SPACES_AFTER_CHUNK_SIZE. */
  readonly spacesAfterChunkSize?: boolean | undefined;
}

/** A fault and the offset, in the array given last, of the byte that showed it. */
export interface ScanFault {
  readonly code: ProtocolErrorCode;
  readonly reason: string;
  readonly at: number;
}

/** The states of the machine; what each awaits. */
type State =
  | typeof START
  | typeof STATUS_LINE
  | typeof REASON
  | typeof STATUS_LF
  | typeof FIRST_FIELD
  | typeof FIELD
  | typeof NAME
  | typeof SPACE_BEFORE_COLON
  | typeof VALUE_SPACE
  | typeof VALUE_SPACE_LF
  | typeof VALUE
  | typeof VALUE_LF
  | typeof END_LF
  | typeof DONE;

const START = 0; // empty lines before the status line, then its first byte
const STATUS_LINE = 1; // "HTTP/d.d ddd" and what ends it
const REASON = 2;
const STATUS_LF = 3;
const FIRST_FIELD = 4; // as FIELD, behind the status line
const FIELD = 5; // a name's first byte, or the CR of the last line
const NAME = 6;
const SPACE_BEFORE_COLON = 7; // lenient
const VALUE_SPACE = 8; // whitespace before a value
const VALUE_SPACE_LF = 9; // LF of a line without a value
const VALUE = 10;
const VALUE_LF = 11;
const END_LF = 12;
const DONE = 13;

const CR = 0x0d;
const LF = 0x0a;
const SP = 0x20;
const HT = 0x09;
const COLON = 0x3a;

/** Reads one header or trailer section; armed again for each. */
export class HeadScanner {
  readonly #maxBytes: number;
  readonly #maxLines: number;
  readonly #leniency: Leniency;

  #state: State = DONE;
  // Where the section begins in the array being scanned, and where the current line does, from there on.
  #base = 0;
  #line = 0;
  #irregular = false;
  readonly #plain = new PlainHead();
  readonly #template: HeadTemplate;
  // As `marks`, of the section being read: offsets from #base.
  readonly #marks: number[] = [];
  #markCount = 0;
  // The bytes of a split section, and how many.
  #gathered: Uint8Array | undefined;
  #gatheredBytes = 0;
  // What a finished status line says.
  #reasonStart = 0;
  #reasonEnd = 0;

  /** The decoded section, and perhaps some bytes behind it; this and what follows is set when it is complete. */
  text = "";
  /** Offsets in `text`, four a field: start and end of the name, start and end of the value. Never written to. */
  marks: readonly number[] = [];
  /** The fields that the codec itself heeds. */
  specials: readonly SpecialField[] = NO_SPECIALS;
  /** True where the fields of `specials`, the very array of an earlier head, have the values of that head. */
  hasSpecialsOfBefore = false;
  /** Of `HTTP/1.0`: 1. */
  versionMajor = 0;
  /** Of `HTTP/1.0`: 0. */
  versionMinor = 0;
  /** 100 to 999. */
  status = 0;
  /** What is wrong; set when `scan` returns -1. */
  fault: ScanFault | undefined;

  /** `maxBytes` counts every byte of the section, line ends included. `template` may be shared between scanners. */
  constructor(maxBytes: number, maxLines: number, leniency: Leniency, template: HeadTemplate) {
    this.#template = template;
    this.#maxBytes = maxBytes;
    this.#maxLines = maxLines;
    this.#leniency = leniency;
  }

  /** Ready for a response head. */
  startHead(): void {
    this.#arm(START);
  }

  /** Ready for a trailer section. */
  startTrailers(): void {
    this.#arm(FIELD);
  }

  /** True when the section is complete. */
  get isDone(): boolean {
    return this.#state === DONE;
  }

  /** True before the first byte that is not of an empty line. */
  get isEmpty(): boolean {
    return this.#state === START;
  }

  /** Offset in `text` of the end of the reason phrase. */
  get reasonEnd(): number {
    return this.#reasonEnd;
  }

  /** The reason phrase of a finished head. */
  get reasonPhrase(): string {
    return this.text.slice(this.#reasonStart, this.#reasonEnd);
  }

  /** True where a value has to be mended, as {@linkcode value} does: after a folded line, which only leniency lets in. */
  get isIrregular(): boolean {
    return this.#irregular;
  }

  /** The number of fields of a finished section. */
  get fieldCount(): number {
    return this.marks.length >> 2;
  }

  /** The name of field `index`, as received. */
  name(index: number): string {
    return this.text.slice(this.marks[4 * index]!, this.marks[4 * index + 1]!);
  }

  /** The value of field `index`, without the whitespace around it. */
  value(index: number): string {
    const value = this.text.slice(this.marks[4 * index + 2]!, this.marks[4 * index + 3]!);
    return this.#irregular ? value.replace(/[\r\n]+/g, "") : value;
  }

  /**
   * Reads `bytes` from `from` on and returns the offset behind the last byte taken; -1: see `fault`. All bytes are
   * taken unless the section is complete.
   */
  scan(bytes: Uint8Array, from: number): number {
    if (this.#gathered !== undefined) return this.#scanGathered(bytes, from);
    this.#base = from;
    const limit = Math.min(bytes.length, from + this.#maxBytes);
    if (this.#state === START) {
      const end = this.#scanPlain(bytes, from, limit);
      if (end >= 0) return end;
    }
    const to = this.#run(bytes, from, limit);
    if (to < 0) return -1;
    if (this.#state === DONE) {
      this.#finish(decodeLatin1(bytes, from, to), this.#marks.slice(0, this.#markCount));
      return to;
    }
    if (limit < bytes.length) return this.#overflow(limit);
    this.#gather(bytes, from, to);
    return to;
  }

  // The short cuts; -1: neither took it.
  #scanPlain(bytes: Uint8Array, from: number, limit: number): number {
    const template = this.#template;
    const matched = template.match(bytes, from, limit);
    if (matched >= 0) {
      this.#setStatusLine(template.versionMinor, template.status, template.reasonEnd);
      this.text = template.text;
      this.marks = template.marks;
      this.specials = template.specials;
      this.hasSpecialsOfBefore = template.hasFixedSpecials;
      return matched;
    }
    const plain = this.#plain;
    const end = plain.run(bytes, from, limit);
    if (end < 0 || plain.markCount >> 2 > this.#maxLines) return -1;
    this.#setStatusLine(plain.versionMinor, plain.status, plain.reasonEnd);
    this.#finish(decodeLatin1(bytes, from, end), plain.marks.slice(0, plain.markCount));
    // An interim response is not what the next response will look like.
    if (plain.status >= 200 && template.isOpen) template.learn(bytes, from, end, this);
    return end;
  }

  #setStatusLine(versionMinor: number, status: number, reasonEnd: number): void {
    this.#state = DONE;
    this.versionMajor = 1;
    this.versionMinor = versionMinor;
    this.status = status;
    this.#reasonStart = PLAIN_STATUS_LINE_BYTES;
    this.#reasonEnd = reasonEnd;
  }

  #finish(text: string, marks: readonly number[]): void {
    this.text = text;
    this.marks = marks;
    this.specials = findSpecials(text, marks);
    this.hasSpecialsOfBefore = false;
  }

  // The section began in an earlier chunk: continue on the gathered copy, where all offsets still hold.
  #scanGathered(bytes: Uint8Array, from: number): number {
    const before = this.#gatheredBytes;
    const taken = Math.min(bytes.length - from, this.#maxBytes - before);
    this.#gather(bytes, from, from + taken);
    this.#base = 0;
    const to = this.#run(this.#gathered!, before, this.#gatheredBytes);
    if (to < 0) {
      this.fault = { ...this.fault!, at: from + this.fault!.at - before };
      return -1;
    }
    if (this.#state === DONE) {
      this.#finish(decodeLatin1(this.#gathered!, 0, to), this.#marks.slice(0, this.#markCount));
      this.#gathered = undefined;
      this.#gatheredBytes = 0;
      return from + to - before;
    }
    return taken < bytes.length - from ? this.#overflow(from + taken) : bytes.length;
  }

  #arm(state: State): void {
    this.#state = state;
    this.#base = 0;
    this.#line = 0;
    this.#irregular = false;
    this.#markCount = 0;
    this.#gathered = undefined;
    this.#gatheredBytes = 0;
    this.fault = undefined;
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
    return this.#fail("HPE_HEADER_OVERFLOW", "Header overflow", at);
  }

  #fail(code: ProtocolErrorCode, reason: string, at: number): number {
    this.fault = { code, reason, at };
    return -1;
  }

  // One byte after the other; the loops inside NAME, VALUE and REASON take almost all of them.
  #run(bytes: Uint8Array, from: number, end: number): number {
    const base = this.#base;
    const marks = this.#marks;
    let state: State = this.#state;
    let at = from;
    while (at < end) {
      let byte = bytes[at]!;
      switch (state) {
        case START:
          // RFC 9112 section 2.2 asks this of servers; llhttp does it for responses too.
          if (byte === CR || byte === LF) break;
          this.#line = at - base;
          state = STATUS_LINE;
          continue;

        case STATUS_LINE: {
          const offset = at - base - this.#line;
          if (offset < 12) {
            if (!this.#statusByte(offset, byte, at)) return -1;
          } else if (byte === SP) {
            this.#reasonStart = this.#reasonEnd = at + 1 - base;
            state = REASON;
          } else if (byte === CR) {
            this.#reasonStart = this.#reasonEnd = at - base;
            state = STATUS_LF;
          } else if (byte === LF && this.#leniency.optionalCrBeforeLf) {
            this.#irregular = true;
            this.#reasonStart = this.#reasonEnd = at - base;
            state = FIRST_FIELD;
          } else return this.#fail("HPE_INVALID_STATUS", "Invalid response status", at);
          break;
        }

        case REASON:
          while (FIELD_TEXT[byte] === 1) {
            if (++at === end) break;
            byte = bytes[at]!;
          }
          if (at === end) continue;
          this.#reasonEnd = at - base;
          if (byte === CR) state = STATUS_LF;
          else if (byte !== LF) {
            return this.#fail("HPE_INVALID_STATUS", "Invalid character in response status", at);
          } else if (this.#leniency.optionalCrBeforeLf) {
            this.#irregular = true;
            state = FIRST_FIELD;
          } else return this.#fail("HPE_CR_EXPECTED", "Missing expected CR after response line", at);
          break;

        case STATUS_LF:
          state = FIRST_FIELD;
          if (byte === LF) break;
          if (!this.#leniency.optionalLfAfterCr) return this.#fail("HPE_STRICT", "Expected LF after CR", at);
          this.#irregular = true;
          continue;

        case FIRST_FIELD:
          state = FIELD;
          if (byte !== SP) continue;
          if (!this.#leniency.headers) {
            return this.#fail("HPE_UNEXPECTED_SPACE", "Unexpected space after start line", at);
          }
          break;

        case FIELD:
          if (TOKEN[byte] === 1) {
            if (this.#markCount >> 2 >= this.#maxLines) {
              return this.#fail("HPE_HEADER_OVERFLOW", "Too many header lines", at);
            }
            marks[this.#markCount] = at - base;
            state = NAME;
            continue;
          }
          if (byte === CR) state = END_LF;
          else if (byte === LF && this.#leniency.optionalCrBeforeLf) {
            this.#irregular = true;
            this.#state = DONE;
            return at + 1;
          } else if ((byte === SP || byte === HT) && this.#leniency.headers && this.#markCount > 0) {
            state = this.#reopenField();
          } else return this.#fail("HPE_INVALID_HEADER_TOKEN", "Invalid header token", at);
          break;

        case NAME:
          while (TOKEN[byte] === 1) {
            if (++at === end) break;
            byte = bytes[at]!;
          }
          if (at === end) continue;
          marks[this.#markCount + 1] = at - base;
          if (byte === COLON) state = VALUE_SPACE;
          else if (byte === SP && this.#leniency.headers) {
            this.#irregular = true;
            state = SPACE_BEFORE_COLON;
          } else return this.#fail("HPE_INVALID_HEADER_TOKEN", "Invalid header token", at);
          break;

        case SPACE_BEFORE_COLON:
          if (byte === COLON) state = VALUE_SPACE;
          else if (byte !== SP) {
            return this.#fail("HPE_INVALID_HEADER_TOKEN", "Invalid header token", at);
          }
          break;

        case VALUE_SPACE:
          if (byte === SP || byte === HT) break;
          marks[this.#markCount + 2] = marks[this.#markCount + 3] = at - base;
          if (byte === CR) state = VALUE_SPACE_LF;
          else if (byte !== LF) {
            state = VALUE;
            continue;
          } else if (this.#leniency.optionalCrBeforeLf) {
            this.#irregular = true;
            state = VALUE_SPACE_LF;
            continue;
          } else return this.#fail("HPE_INVALID_HEADER_TOKEN", "Invalid header value char", at);
          break;

        case VALUE_SPACE_LF:
          this.#endField(bytes, base);
          state = FIELD;
          if (byte === LF) break;
          if (!this.#leniency.headers) return this.#fail("HPE_STRICT", "Expected LF after CR", at);
          this.#irregular = true;
          continue;

        case VALUE:
          while (FIELD_TEXT[byte] === 1) {
            if (++at === end) break;
            byte = bytes[at]!;
          }
          if (at === end) continue;
          marks[this.#markCount + 3] = at - base;
          if (byte === CR) state = VALUE_LF;
          else if (byte === LF) {
            if (!this.#leniency.optionalCrBeforeLf) {
              return this.#fail("HPE_CR_EXPECTED", "Missing expected CR after header value", at);
            }
            this.#irregular = true;
            state = VALUE_LF;
            continue;
          } else if (
            !this.#leniency.headers && (byte === 0 || !this.#leniency.headerValueRelaxed)
          ) return this.#fail("HPE_INVALID_HEADER_TOKEN", "Invalid header value char", at);
          break;

        case VALUE_LF:
          if (byte !== LF) {
            return this.#fail("HPE_LF_EXPECTED", "Missing expected LF after header value", at);
          }
          this.#endField(bytes, base);
          state = FIELD;
          break;

        case END_LF:
          if (byte !== LF) {
            if (!this.#leniency.optionalLfAfterCr) {
              return this.#fail("HPE_STRICT", "Expected LF after headers", at);
            }
            this.#irregular = true;
            this.#state = DONE;
            return at;
          }
          this.#state = DONE;
          return at + 1;

        case DONE:
          return at;
      }
      at++;
    }
    this.#state = state;
    return at;
  }

  // Takes the whitespace off the value's end and counts the field.
  #endField(bytes: Uint8Array, base: number): void {
    const marks = this.#marks;
    const start = base + marks[this.#markCount + 2]!;
    let to = base + marks[this.#markCount + 3]!;
    while (to > start && (bytes[to - 1] === SP || bytes[to - 1] === HT)) to--;
    marks[this.#markCount + 3] = to - base;
    this.#markCount += 4;
  }

  // A folded line (RFC 9112 section 5.2, forgiven only by leniency): the last field goes on.
  #reopenField(): State {
    this.#irregular = true;
    this.#markCount -= 4;
    return this.#marks[this.#markCount + 2] === this.#marks[this.#markCount + 3] ? VALUE_SPACE : VALUE;
  }

  // "HTTP/d.d ddd", one byte of it.
  #statusByte(offset: number, byte: number, at: number): boolean {
    const digit = byte - 0x30;
    const isDigit = digit >= 0 && digit <= 9;
    switch (offset) {
      case 5:
        this.versionMajor = digit;
        return isDigit || this.#refuse("HPE_INVALID_VERSION", "Invalid major version", at);
      case 6:
        return byte === 0x2e || this.#refuse("HPE_INVALID_VERSION", "Expected dot", at);
      case 7:
        this.versionMinor = digit;
        if (!isDigit) return this.#refuse("HPE_INVALID_VERSION", "Invalid minor version", at);
        return this.#isKnownVersion() || this.#refuse("HPE_INVALID_VERSION", "Invalid HTTP version", at);
      case 8:
        return byte === SP || this.#refuse("HPE_INVALID_VERSION", "Expected space after version", at);
      case 9:
        this.status = digit * 100;
        // RFC 9110 section 15: there is nothing below 100; llhttp takes it.
        return (isDigit && digit > 0) || this.#refuse("HPE_INVALID_STATUS", "Invalid status code", at);
      case 10:
        this.status += digit * 10;
        return isDigit || this.#refuse("HPE_INVALID_STATUS", "Invalid status code", at);
      case 11:
        this.status += digit;
        return isDigit || this.#refuse("HPE_INVALID_STATUS", "Invalid status code", at);
      default:
        return byte === "HTTP/".charCodeAt(offset) ||
          this.#refuse("HPE_INVALID_CONSTANT", "Expected HTTP/", at);
    }
  }

  #isKnownVersion(): boolean {
    if (this.#leniency.version) return true;
    const version = 10 * this.versionMajor + this.versionMinor;
    return version === 11 || version === 10 || version === 9 || version === 20;
  }

  #refuse(code: ProtocolErrorCode, reason: string, at: number): boolean {
    this.#fail(code, reason, at);
    return false;
  }
}
