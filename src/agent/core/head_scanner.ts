/**
 * Finds the lines of a response head or of a trailer section, byte by byte, and judges every byte once.
 *
 * Owns the grammar of the status line and of field lines (RFC 9112 sections 4 and 5), strict as llhttp without its
 * lenient flags, each of which can be named. Knows nothing of framing, bodies or sinks. Strategy: a state machine
 * that can stop at any byte, and before it a loop for the head as almost all are: whole in one chunk, without fault.
 * What that loop does not take, the machine reads again from the first byte, so the loop decides nothing. Only a
 * section that is split is gathered, in a buffer that never exceeds the limit. Nothing of a chunk is kept: the
 * decoded text is a copy.
 *
 * @module
 */

import { FIELD_TEXT, TOKEN } from "./characters.ts";
import type { ProtocolErrorCode } from "./errors.ts";
import { decodeLatin1 } from "./latin1.ts";

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

const STATUS_LINE_BYTES = "HTTP/1.1 200 ".length;

// "HTTP/1.x ddd " at `from`; the caller has seen that so many bytes are there.
function isPlainStatusLine(bytes: Uint8Array, from: number): boolean {
  return bytes[from] === 0x48 && bytes[from + 1] === 0x54 && bytes[from + 2] === 0x54 &&
    bytes[from + 3] === 0x50 &&
    bytes[from + 4] === 0x2f && bytes[from + 5] === 0x31 && bytes[from + 6] === 0x2e &&
    (bytes[from + 7] === 0x31 || bytes[from + 7] === 0x30) && bytes[from + 8] === SP &&
    bytes[from + 9]! >= 0x31 && bytes[from + 9]! <= 0x39 && isDigit(bytes[from + 10]!) &&
    isDigit(bytes[from + 11]!) && bytes[from + 12] === SP;
}

function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

function isSpace(byte: number): boolean {
  return byte === SP || byte === HT;
}

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
  // Offsets from #base, four a field: start and end of the name, start and end of the value.
  readonly #marks: number[] = [];
  #markCount = 0;
  // The bytes of a split section, and how many.
  #gathered: Uint8Array | undefined;
  #gatheredBytes = 0;
  // What a finished status line says.
  #reasonStart = 0;
  #reasonEnd = 0;

  /** The decoded section; set when it is complete. */
  text = "";
  /** Of `HTTP/1.0`: 1. */
  versionMajor = 0;
  /** Of `HTTP/1.0`: 0. */
  versionMinor = 0;
  /** 100 to 999. */
  status = 0;
  /** What is wrong; set when `scan` returns -1. */
  fault: ScanFault | undefined;

  /** `maxBytes` counts every byte of the section, line ends included. */
  constructor(maxBytes: number, maxLines: number, leniency: Leniency) {
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

  /** The reason phrase of a finished head. */
  get reasonPhrase(): string {
    return this.text.slice(this.#reasonStart, this.#reasonEnd);
  }

  /** The number of fields of a finished section. */
  get fieldCount(): number {
    return this.#markCount >> 2;
  }

  /** True where a value has to be mended, as {@linkcode value} does: after a folded line, which only leniency lets in. */
  get isIrregular(): boolean {
    return this.#irregular;
  }

  /** Offsets in `text`, four a field: start and end of the name, start and end of the value. A copy. */
  copyMarks(): number[] {
    return this.#marks.slice(0, this.#markCount);
  }

  /** Length of the name of field `index`: the cheap test before {@linkcode name}. */
  nameLength(index: number): number {
    return this.#marks[4 * index + 1]! - this.#marks[4 * index]!;
  }

  /** The name of field `index`, as received. */
  name(index: number): string {
    return this.text.slice(this.#marks[4 * index]!, this.#marks[4 * index + 1]!);
  }

  /** The value of field `index`, without the whitespace around it. */
  value(index: number): string {
    const value = this.text.slice(this.#marks[4 * index + 2]!, this.#marks[4 * index + 3]!);
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
    let to = this.#state === START ? this.#runWholeHead(bytes, from, limit) : -1;
    if (to < 0) to = this.#run(bytes, from, limit);
    if (to < 0) return -1;
    if (this.#state === DONE) {
      this.text = decodeLatin1(bytes, this.#base, to);
      return to;
    }
    if (limit < bytes.length) return this.#overflow(limit);
    this.#gather(bytes, from, to);
    return to;
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
      this.text = decodeLatin1(this.#gathered!, 0, to);
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

  // A head without fault that ends before `end`: its end. Anything else: -1, and nothing is decided. Four bytes a step
  // where four are left: a check of the bounds at each byte costs a fifth of the time, and reading past the end of the
  // array, once, makes V8 compile the function to one four times as slow.
  #runWholeHead(bytes: Uint8Array, from: number, end: number): number {
    let at = from + STATUS_LINE_BYTES;
    if (at >= end || !isPlainStatusLine(bytes, from)) return -1;
    while (at < end && FIELD_TEXT[bytes[at]!] === 1) at++;
    if (at + 1 >= end || bytes[at] !== CR || bytes[at + 1] !== LF) return -1;
    const reasonEnd = at - from;
    const fieldsEnd = this.#runPlainFields(bytes, at + 2, end);
    if (fieldsEnd < 0 || this.#markCount >> 2 > this.#maxLines) return -1;
    this.#reasonStart = STATUS_LINE_BYTES;
    this.#reasonEnd = reasonEnd;
    this.versionMajor = 1;
    this.versionMinor = bytes[from + 7]! - 0x30;
    this.status = 100 * bytes[from + 9]! + 10 * bytes[from + 10]! + bytes[from + 11]! - 111 * 0x30;
    this.#state = DONE;
    return fieldsEnd;
  }

  // The field lines and the empty line of such a head.
  #runPlainFields(bytes: Uint8Array, from: number, end: number): number {
    const base = this.#base;
    const marks = this.#marks;
    const fours = end - 3;
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
      while (
        at < fours &&
        (FIELD_TEXT[bytes[at]!]! & FIELD_TEXT[bytes[at + 1]!]! & FIELD_TEXT[bytes[at + 2]!]! &
            FIELD_TEXT[bytes[at + 3]!]!) === 1
      ) at += 4;
      while (at < end && FIELD_TEXT[bytes[at]!] === 1) at++;
      if (at + 1 >= end || bytes[at] !== CR || bytes[at + 1] !== LF) return -1;
      // Whitespace to be cut off is the machine's.
      if (isSpace(bytes[valueStart]!) || isSpace(bytes[at - 1]!)) return -1;
      marks[count++] = valueStart - base;
      marks[count++] = at - base;
    }
    if (at + 1 >= end || bytes[at + 1] !== LF) return -1;
    this.#markCount = count;
    return at + 2;
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
