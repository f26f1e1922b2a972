/**
 * The fields of a response that the codec itself heeds: framing and persistence.
 *
 * Owns finding them among the others, reading them together, the rule that Content-Length is a number, comes once and
 * never beside Transfer-Encoding, and where llhttp stops at one that is not. What they mean is framing.ts and
 * keep_alive.ts.
 *
 * @module
 */

import type { ProtocolErrorCode } from "./errors.ts";
import { type FramingFault, type FramingFields, parseContentLength } from "./framing.ts";

/** One of them. */
export interface SpecialField {
  /** In lower case. */
  readonly name: "connection" | "keep-alive" | "content-length" | "transfer-encoding";
  /** Which field of the section it is. */
  readonly index: number;
}

/** What they say; lines of one name are joined by ", ". */
export interface SpecialValues extends FramingFields {
  /** "" for none. */
  readonly connection: string;
  /** "" for none. */
  readonly keepAlive: string;
}

/** What heads say that have the same of them with the same values, once somebody has judged it. */
export interface SpecialMemo {
  /** Judged without leniency. */
  strict: SpecialValues | undefined;
  /** Judged with `lenient`. */
  lenient: SpecialValues | undefined;
}

/** One of them that cannot stand. */
export interface SpecialFault extends FramingFault {
  /** Which field of the section it is. */
  readonly index: number;
  /** Offset in its value at which llhttp stops; undefined: behind the colon. */
  readonly inValue: number | undefined;
}

/** Of a section without any of them. */
export const NO_SPECIALS: readonly SpecialField[] = [];

/** Of a section without any of them. */
const NO_SPECIAL_VALUES: SpecialValues = {
  connection: "",
  keepAlive: "",
  contentLength: undefined,
  transferEncoding: undefined,
};

/** Finds them; `marks` are offsets in `text`, four a field. By the length of their names first. */
export function findSpecials(text: string, marks: readonly number[]): readonly SpecialField[] {
  let specials: SpecialField[] | undefined;
  for (let mark = 0; mark < marks.length; mark += 4) {
    const length = marks[mark + 1]! - marks[mark]!;
    if (length !== 10 && length !== 14 && length !== 17) continue;
    const name = text.slice(marks[mark]!, marks[mark + 1]!).toLowerCase();
    switch (name) {
      case "connection":
      case "keep-alive":
      case "content-length":
      case "transfer-encoding":
        (specials ??= []).push({ name, index: mark >> 2 });
    }
  }
  return specials ?? NO_SPECIALS;
}

/**
 * Reads them in the order received. Two Content-Length lines, even equal ones, or one beside Transfer-Encoding are a
 * fault (RFC 9112 section 6.3 steps 3 and 5): somebody on the way reads another message. `lenient` lets the latter pass.
 */
export function readSpecials(
  specials: readonly SpecialField[],
  valueOf: (index: number) => string,
  lenient: boolean,
): SpecialValues | SpecialFault {
  if (specials.length === 0) return NO_SPECIAL_VALUES;
  let { connection, keepAlive, contentLength, transferEncoding } = NO_SPECIAL_VALUES;
  for (let i = 0; i < specials.length; i++) {
    const { name, index } = specials[i]!;
    const value = valueOf(index);
    switch (name) {
      case "connection":
        connection = join(connection, value);
        break;
      case "keep-alive":
        keepAlive = join(keepAlive, value);
        break;
      case "content-length":
        if (transferEncoding !== undefined && !lenient) return lengthBesideCoding(index);
        if (contentLength !== undefined && value !== "") {
          return fault("HPE_UNEXPECTED_CONTENT_LENGTH", "Duplicate Content-Length", index, 0);
        }
        contentLength = value;
        if (typeof parseContentLength(value) === "string") return lengthFault(value, index);
        break;
      case "transfer-encoding":
        if (contentLength !== undefined && !lenient) {
          const reason = "Transfer-Encoding can't be present with Content-Length";
          return fault("HPE_INVALID_TRANSFER_ENCODING", reason, index, undefined);
        }
        transferEncoding = transferEncoding === undefined ? value : `${transferEncoding}, ${value}`;
        break;
    }
  }
  return { connection, keepAlive, contentLength, transferEncoding };
}

function join(list: string, value: string): string {
  return list === "" ? value : `${list}, ${value}`;
}

/** The fault of a Content-Length beside Transfer-Encoding, the chunked body's whose trailers it stands in among them. */
export function lengthBesideCoding(index: number): SpecialFault {
  const reason = "Content-Length can't be present with Transfer-Encoding";
  return fault("HPE_INVALID_CONTENT_LENGTH", reason, index, undefined);
}

// llhttp skips spaces behind the digits and stops at what follows, behind the last digit, or behind an empty line's end.
function lengthFault(value: string, index: number): SpecialFault {
  const reason = parseContentLength(value) as string;
  const inValue = value === "" ? 2 : /^[0-9]* */.exec(value)![0].length;
  return fault("HPE_INVALID_CONTENT_LENGTH", reason, index, inValue);
}

function fault(
  code: ProtocolErrorCode,
  reason: string,
  index: number,
  inValue: number | undefined,
): SpecialFault {
  return { kind: "fault", code, reason, index, inValue };
}
