/**
 * The character classes of RFC 9110, as tables of bytes and as tests of strings.
 *
 * Owns what a token and a field value may consist of, for both directions.
 *
 * @module
 */

/** 1: a token character, `tchar` of RFC 9110 section 5.6.2. */
export const TOKEN: Uint8Array = new Uint8Array(256);
for (const character of "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") {
  TOKEN[character.charCodeAt(0)] = 1;
}

/** 1: HTAB, SP, VCHAR or obs-text: what a field value consists of, RFC 9110 section 5.5. */
export const FIELD_TEXT: Uint8Array = new Uint8Array(256).fill(1, 0x20);
FIELD_TEXT[0x09] = 1;
FIELD_TEXT[0x7f] = 0;

/**
 * The end of the run of field text in `bytes` that begins at `from`, `end` at most. Four bytes a step where four are
 * left: a check of the bounds at each byte costs a fifth of the time, and reading past the end of the array, even once,
 * makes V8 compile the loop to one four times as slow.
 */
export function fieldTextEnd(bytes: Uint8Array, from: number, end: number): number {
  const fours = end - 3;
  let at = from;
  while (
    at < fours &&
    (FIELD_TEXT[bytes[at]!]! & FIELD_TEXT[bytes[at + 1]!]! & FIELD_TEXT[bytes[at + 2]!]! &
        FIELD_TEXT[bytes[at + 3]!]!) === 1
  ) at += 4;
  while (at < end && FIELD_TEXT[bytes[at]!] === 1) at++;
  return at;
}

const NOT_FIELD_TEXT = /[^\t\x20-\x7e\x80-\xff]/;
const NEVER_SENT = /[\0\n\r\u0100-\uffff]/;
const NOT_TARGET = /[^\x21-\xff]/;
const IS_TOKEN = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

/** True for a token: a method or a field name. */
export function isToken(text: string): boolean {
  return IS_TOKEN.test(text);
}

/** True for a field value that may be sent; the empty one too. `isLenient`: any octet but those that would end a line. */
export function isFieldValue(text: string, isLenient: boolean = false): boolean {
  return !NOT_FIELD_TEXT.test(text) || (isLenient && !NEVER_SENT.test(text));
}

/**
 * Without the whitespace around it, which is SP and HTAB alone (OWS, RFC 9110 section 5.6.3). JavaScript's trim() also
 * takes off VT, FF and NBSP, which are somebody else's text: to llhttp "chunked" beside one of them is another coding.
 */
export function trimOws(text: string): string {
  let start = 0;
  let end = text.length;
  while (start < end && isOws(text.charCodeAt(start))) start++;
  while (end > start && isOws(text.charCodeAt(end - 1))) end--;
  return text.slice(start, end);
}

/** True for SP and HTAB, the whitespace that may stand around a field value. */
export function isOws(code: number): boolean {
  return code === 0x20 || code === 0x09;
}

/** True for a request target that may be sent: no space, no control, nothing above U+00FF. As lax as Node. */
export function isRequestTarget(text: string): boolean {
  return text !== "" && !NOT_TARGET.test(text);
}
