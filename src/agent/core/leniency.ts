/**
 * What a lenient parser forgives.
 *
 * Owns the names; what each does stands where the rule is that it loosens: head_machine.ts, chunk_line.ts,
 * special_fields.ts.
 *
 * @module
 */

/**
 * What `insecureHTTPParser` forgives, each by its own name (Node's sets all of them). llhttp's LENIENT_KEEP_ALIVE and
 * LENIENT_DATA_AFTER_CLOSE have no counterpart: one parser run reads one response, and surplus bytes close the
 * connection. LENIENT_TRANSFER_ENCODING is about requests.
 */
export interface Leniency {
  /**
   * Any octet but CR and LF in values, space before the first line, folded lines, and space before the colon of the
   * names that llhttp heeds, which are Connection, Content-Length, Transfer-Encoding and Upgrade. LENIENT_HEADERS.
   */
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

/** Nothing is forgiven. */
export const STRICT: Leniency = {};

/** All of Node's `insecureHTTPParser: true`. */
export const ALL_LENIENT: Leniency = {
  headers: true,
  headerValueRelaxed: true,
  chunkedLength: true,
  version: true,
  optionalLfAfterCr: true,
  optionalCrBeforeLf: true,
  optionalCrlfAfterChunk: true,
  spacesAfterChunkSize: true,
};
