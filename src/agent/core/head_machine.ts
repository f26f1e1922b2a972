/**
 * The lines of a response head or of a trailer section, byte by byte: a state machine that can stop anywhere.
 *
 * Owns the grammar of the status line and of field lines (RFC 9112 sections 4 and 5), strict as llhttp without its
 * lenient flags, each of which can be named, and with its words and the very byte at which it stops: behind some of
 * the bytes that it refuses, before others. Judges every byte once, in the order received, so that a fault is found
 * at the same byte whatever the cuts. Must not know where the bytes are kept: it notes offsets.
 *
 * @module
 */

import { FIELD_TEXT, TOKEN } from "./characters.ts";
import type { ByteFault, ProtocolErrorCode } from "./errors.ts";
import type { Leniency } from "./leniency.ts";

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
export class HeadMachine {
  readonly #maxLines: number;
  readonly #leniency: Leniency;
  #state: State = DONE;
  // Where the status line begins, behind empty lines.
  #line = 0;

  /** Offsets from the section's start, four a field: start and end of the name, start and end of the value. Reused. */
  readonly marks: number[] = [];
  /** How many of `marks` count. */
  markCount = 0;
  /** True where a value holds a line end, of a folded line: only after leniency. */
  isFolded = false;
  /** Of `HTTP/1.0`: 1. */
  versionMajor = 0;
  /** Of `HTTP/1.0`: 0. */
  versionMinor = 0;
  /** 100 to 999. */
  status = 0;
  /** Offset of the reason phrase. */
  reasonStart = 0;
  /** Offset of the end of the reason phrase. */
  reasonEnd = 0;
  /** What is wrong; set when `run` returns -1. */
  fault: ByteFault | undefined;

  /** More than `maxLines` fields are a fault. */
  constructor(maxLines: number, leniency: Leniency) {
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

  #arm(state: State): void {
    this.#state = state;
    this.#line = 0;
    this.isFolded = false;
    this.markCount = 0;
    this.fault = undefined;
  }

  /**
   * Reads `bytes` from `from` up to `end`; the section begins at `base`. Returns the offset behind the last byte taken,
   * which is `end` unless the section is complete; -1: see `fault`.
   */
  run(bytes: Uint8Array, base: number, from: number, end: number): number {
    const marks = this.marks;
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
            this.reasonStart = this.reasonEnd = at + 1 - base;
            state = REASON;
          } else if (byte === CR) {
            this.reasonStart = this.reasonEnd = at - base;
            state = STATUS_LF;
          } else if (byte === LF && this.#leniency.optionalCrBeforeLf) {
            this.reasonStart = this.reasonEnd = at - base;
            state = FIRST_FIELD;
          } else {return this.#fail(
              "HPE_INVALID_STATUS",
              "Invalid response status",
              byte === LF ? at + 1 : at,
            );}
          break;
        }

        case REASON:
          while (FIELD_TEXT[byte] === 1) {
            if (++at === end) break;
            byte = bytes[at]!;
          }
          if (at === end) continue;
          this.reasonEnd = at - base;
          if (byte === CR) state = STATUS_LF;
          else if (byte !== LF) {
            return this.#fail("HPE_INVALID_STATUS", "Invalid character in response status", at);
          } else if (this.#leniency.optionalCrBeforeLf) {
            state = FIRST_FIELD;
          } else return this.#fail("HPE_CR_EXPECTED", "Missing expected CR after response line", at + 1);
          break;

        case STATUS_LF:
          state = FIRST_FIELD;
          if (byte === LF) break;
          if (!this.#leniency.optionalLfAfterCr) return this.#fail("HPE_STRICT", "Expected LF after CR", at);
          continue;

        case FIRST_FIELD:
          state = FIELD;
          if (byte !== SP) continue;
          if (!this.#leniency.headers) {
            return this.#fail("HPE_UNEXPECTED_SPACE", "Unexpected space after start line", at + 1);
          }
          break;

        case FIELD:
          if (TOKEN[byte] === 1) {
            if (this.markCount >> 2 >= this.#maxLines) {
              return this.#fail("HPE_HEADER_OVERFLOW", "Too many header lines", at);
            }
            marks[this.markCount] = at - base;
            state = NAME;
            continue;
          }
          if (byte === CR) state = END_LF;
          else if (byte === LF && this.#leniency.optionalCrBeforeLf) {
            this.#state = DONE;
            return at + 1;
          } else if (byte === LF) {
            return this.#fail("HPE_INVALID_HEADER_TOKEN", "Invalid header field char", at + 1);
          } else if ((byte === SP || byte === HT) && this.markCount > 0) {
            if (!this.#leniency.headers) {
              return this.#refuseFold(at);
            }
            state = this.#reopenField();
          } else return this.#fail("HPE_INVALID_HEADER_TOKEN", "Invalid header token", at);
          break;

        case NAME:
          while (TOKEN[byte] === 1) {
            if (++at === end) break;
            byte = bytes[at]!;
          }
          if (at === end) continue;
          marks[this.markCount + 1] = at - base;
          if (byte === COLON) state = VALUE_SPACE;
          else if (byte === SP && isHeeded(bytes, base + marks[this.markCount]!, at)) {
            if (!this.#leniency.headers) {
              return this.#fail("HPE_INVALID_HEADER_TOKEN", "Invalid header field char", at + 1);
            }
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
          marks[this.markCount + 2] = marks[this.markCount + 3] = at - base;
          if (byte === CR) state = VALUE_SPACE_LF;
          else if (byte !== LF) {
            state = VALUE;
            continue;
          } else if (this.#leniency.optionalCrBeforeLf) {
            state = VALUE_SPACE_LF;
            continue;
          } else return this.#fail("HPE_INVALID_HEADER_TOKEN", "Invalid header value char", at + 1);
          break;

        case VALUE_SPACE_LF:
          this.#endField(bytes, base);
          state = FIELD;
          if (byte === LF) break;
          if (!this.#leniency.headers) return this.#fail("HPE_STRICT", "Expected LF after CR", at);
          continue;

        case VALUE:
          while (FIELD_TEXT[byte] === 1) {
            if (++at === end) break;
            byte = bytes[at]!;
          }
          if (at === end) continue;
          marks[this.markCount + 3] = at - base;
          if (byte === CR) state = VALUE_LF;
          else if (byte === LF) {
            if (!this.#leniency.optionalCrBeforeLf) {
              return this.#fail("HPE_CR_EXPECTED", "Missing expected CR after header value", at);
            }
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
    const marks = this.marks;
    const start = base + marks[this.markCount + 2]!;
    let to = base + marks[this.markCount + 3]!;
    while (to > start && (bytes[to - 1] === SP || bytes[to - 1] === HT)) to--;
    marks[this.markCount + 3] = to - base;
    this.markCount += 4;
  }

  // llhttp takes the line end behind an empty value for a part of the whitespace before a value.
  #refuseFold(at: number): number {
    if (this.marks[this.markCount - 2] === this.marks[this.markCount - 1]) {
      return this.#fail("HPE_INVALID_HEADER_TOKEN", "Invalid header value char", at + 1);
    }
    return this.#fail("HPE_INVALID_HEADER_TOKEN", "Unexpected whitespace after header value", at);
  }

  // A folded line (RFC 9112 section 5.2, forgiven only by leniency): the last field goes on.
  #reopenField(): State {
    this.isFolded = true;
    this.markCount -= 4;
    return this.marks[this.markCount + 2] === this.marks[this.markCount + 3] ? VALUE_SPACE : VALUE;
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
        return this.#isKnownVersion() || this.#refuse("HPE_INVALID_VERSION", "Invalid HTTP version", at + 1);
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
          this.#refuse("HPE_INVALID_CONSTANT", "Expected HTTP/, RTSP/ or ICE/", at);
    }
  }

  #isKnownVersion(): boolean {
    if (this.#leniency.version) return true;
    const version = 10 * this.versionMajor + this.versionMinor;
    // RFC 9110 section 2.5: a major version that we do not speak is not guessed at; llhttp takes 2.0. What calls itself 0.9, as
    // Node's users may know it, is read as 1.0 is: its connection is not used again.
    return version === 11 || version === 10 || version === 9;
  }

  #refuse(code: ProtocolErrorCode, reason: string, at: number): boolean {
    this.#fail(code, reason, at);
    return false;
  }

  #fail(code: ProtocolErrorCode, reason: string, at: number): number {
    this.fault = { code, reason, at };
    return -1;
  }
}

// The names that llhttp heeds; behind these alone it looks for a space.
const HEEDED = ["connection", "content-length", "proxy-connection", "transfer-encoding", "upgrade"];

function isHeeded(bytes: Uint8Array, start: number, end: number): boolean {
  return HEEDED.some((name) => {
    if (name.length !== end - start) return false;
    let at = start;
    while (at < end && (bytes[at]! | 0x20) === name.charCodeAt(at - start)) at++;
    return at === end;
  });
}
