/**
 * The fields of a response that the codec itself heeds: framing and persistence.
 *
 * Owns finding them among the others, reading them together, and the rule that Content-Length comes once and never
 * beside Transfer-Encoding. What they mean is framing.ts and keep_alive.ts.
 *
 * @module
 */

import type { FramingFault, FramingFields } from "./framing.ts";

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

/** Of a section without any of them. */
export const NO_SPECIALS: readonly SpecialField[] = [];

/** Of a section without any of them. */
export const NO_SPECIAL_VALUES: SpecialValues = {
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
): SpecialValues | FramingFault {
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
        if (contentLength !== undefined) return DUPLICATE;
        if (transferEncoding !== undefined && !lenient) return LENGTH_BEHIND_CODING;
        contentLength = value;
        break;
      case "transfer-encoding":
        if (contentLength !== undefined && !lenient) return CODING_BEHIND_LENGTH;
        transferEncoding = transferEncoding === undefined ? value : `${transferEncoding}, ${value}`;
        break;
    }
  }
  return { connection, keepAlive, contentLength, transferEncoding };
}

function join(list: string, value: string): string {
  return list === "" ? value : `${list}, ${value}`;
}

const DUPLICATE: FramingFault = {
  kind: "fault",
  code: "HPE_UNEXPECTED_CONTENT_LENGTH",
  reason: "Duplicate Content-Length",
};
const LENGTH_BEHIND_CODING: FramingFault = {
  kind: "fault",
  code: "HPE_INVALID_CONTENT_LENGTH",
  reason: "Content-Length can't be present with Transfer-Encoding",
};
const CODING_BEHIND_LENGTH: FramingFault = {
  kind: "fault",
  code: "HPE_INVALID_TRANSFER_ENCODING",
  reason: "Transfer-Encoding can't be present with Content-Length",
};
