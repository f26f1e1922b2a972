/**
 * The errors of the agent: one class for each kind of fault, one union of all their codes.
 *
 * Owns classes, codes and messages; knows nothing of sockets (their failures are SocketError, in the runtime
 * layer, with the same codes). The codes, and the messages of those thrown for a caller's mistake, are Node's:
 * programs and their logs match on them.
 *
 * @module
 */

/** Codes of a caller's mistake, thrown at once as TypeError or RangeError. Node's "Errors" document, node.js error codes. */
export type ArgumentErrorCode =
  | "ERR_BODY_USED"
  | "ERR_HTTP_BODY_NOT_ALLOWED"
  | "ERR_HTTP_CONTENT_LENGTH_MISMATCH"
  | "ERR_HTTP_HEADERS_SENT"
  | "ERR_HTTP_INVALID_HEADER_VALUE"
  | "ERR_HTTP_TRAILER_INVALID"
  | "ERR_INVALID_ARG_TYPE"
  | "ERR_INVALID_ARG_VALUE"
  | "ERR_INVALID_CHAR"
  | "ERR_INVALID_HTTP_TOKEN"
  | "ERR_INVALID_IP_ADDRESS"
  | "ERR_INVALID_PROTOCOL"
  | "ERR_INVALID_URL"
  | "ERR_METHOD_NOT_IMPLEMENTED"
  | "ERR_OUT_OF_RANGE"
  | "ERR_PROXY_INVALID_CONFIG"
  | "ERR_SOCKET_BAD_PORT"
  | "ERR_STREAM_ALREADY_FINISHED"
  | "ERR_STREAM_CANNOT_PIPE"
  | "ERR_STREAM_DESTROYED"
  | "ERR_STREAM_NULL_VALUES"
  | "ERR_STREAM_WRITE_AFTER_END"
  | "ERR_TLS_INVALID_CONTEXT"
  | "ERR_TLS_INVALID_PROTOCOL_VERSION"
  | "ERR_TLS_REQUIRED"
  | "ERR_UNESCAPED_CHARACTERS"
  | "ERR_UNKNOWN_ENCODING"
  | "ERR_UNSUPPORTED_OPTION";

/**
 * Codes of a peer that broke the protocol. All are llhttp's or Node's, so that programs need not tell the parsers
 * apart, except HPE_INFORMATIONAL_OVERFLOW: a limit that neither has.
 */
export type ProtocolErrorCode =
  | "HPE_CHUNK_EXTENSIONS_OVERFLOW"
  | "HPE_CLOSED_CONNECTION"
  | "HPE_CR_EXPECTED"
  | "HPE_HEADER_OVERFLOW"
  | "HPE_INFORMATIONAL_OVERFLOW"
  | "HPE_INVALID_CHUNK_SIZE"
  | "HPE_INVALID_CONSTANT"
  | "HPE_INVALID_CONTENT_LENGTH"
  | "HPE_INVALID_EOF_STATE"
  | "HPE_INVALID_HEADER_TOKEN"
  | "HPE_INVALID_STATUS"
  | "HPE_INVALID_TRANSFER_ENCODING"
  | "HPE_INVALID_VERSION"
  | "HPE_LF_EXPECTED"
  | "HPE_STRICT"
  | "HPE_UNEXPECTED_CONTENT_LENGTH"
  | "HPE_UNEXPECTED_SPACE";

/** Codes of a network failure that programs commonly name; a SocketError's code may be any other of the system's. */
export type NetworkErrorCode =
  | "EADDRNOTAVAIL"
  | "EAI_AGAIN"
  | "ECONNABORTED"
  | "ECONNREFUSED"
  | "ECONNRESET"
  | "EHOSTUNREACH"
  | "ENETUNREACH"
  | "ENOTFOUND"
  | "EPIPE";

/** Codes of a verification that failed while TLS was set up, as OpenSSL and Node name them; there are more. */
export type TlsErrorCode =
  | "CERT_HAS_EXPIRED"
  | "DEPTH_ZERO_SELF_SIGNED_CERT"
  | "ERR_TLS_CERT_ALTNAME_INVALID"
  | "SELF_SIGNED_CERT_IN_CHAIN"
  | "UNABLE_TO_GET_ISSUER_CERT_LOCALLY"
  | "UNABLE_TO_VERIFY_LEAF_SIGNATURE";

/** Codes of the agent's own decisions. */
export type AgentErrorCode =
  | "ABORT_ERR"
  | "ERR_AGENT_CLOSED"
  | "ERR_AGENT_DESTROYED"
  | "ERR_BODY_SOURCE"
  | "ERR_CONTENT_DECODING"
  | "ERR_INTEGRITY"
  | "ERR_POOL_QUEUE_FULL"
  | "ERR_POOL_SLOT_LOST"
  | "ERR_PROXY_TUNNEL"
  | "ERR_REDIRECT"
  | "ETIMEDOUT";

/** Every code that an error of this package is known to carry. */
export type ErrorCode =
  | ArgumentErrorCode
  | ProtocolErrorCode
  | NetworkErrorCode
  | TlsErrorCode
  | AgentErrorCode;

/** A TypeError with Node's `code`. Its `name` stays "TypeError", as in Node. */
export class ArgumentTypeError extends TypeError {
  /** What is wrong. */
  readonly code: ArgumentErrorCode;

  /** Makes the error from its code and message. */
  constructor(code: ArgumentErrorCode, message: string) {
    super(message);
    this.code = code;
  }

  /** As Node's: with the code. */
  override toString(): string {
    return `${this.name} [${this.code}]: ${this.message}`;
  }
}

/** A RangeError with Node's `code`. Its `name` stays "RangeError", as in Node. */
export class ArgumentRangeError extends RangeError {
  /** What is wrong. */
  readonly code: ArgumentErrorCode;

  /** Makes the error from its code and message. */
  constructor(code: ArgumentErrorCode, message: string) {
    super(message);
    this.code = code;
  }

  /** As Node's: with the code. */
  override toString(): string {
    return `${this.name} [${this.code}]: ${this.message}`;
  }
}

/** ERR_INVALID_HTTP_TOKEN: `what` ("Method", "Header name") is no token (RFC 9110 section 5.6.2). */
export function invalidToken(what: string, value: unknown): ArgumentTypeError {
  return new ArgumentTypeError(
    "ERR_INVALID_HTTP_TOKEN",
    `${what} must be a valid HTTP token ["${show(value)}"]`,
  );
}

/** ERR_INVALID_CHAR: the value of the header `name` holds a character that RFC 9110 section 5.5 forbids. */
export function invalidHeaderContent(name: string): ArgumentTypeError {
  return new ArgumentTypeError("ERR_INVALID_CHAR", `Invalid character in header content ["${name}"]`);
}

/** ERR_HTTP_INVALID_HEADER_VALUE: the header `name` cannot have this value; `why` never repeats the value itself. */
export function invalidHeaderValue(name: string, why: string): ArgumentTypeError {
  return new ArgumentTypeError("ERR_HTTP_INVALID_HEADER_VALUE", `Cannot set header "${name}": ${why}`);
}

/** ERR_HTTP_INVALID_HEADER_VALUE: the header `name` has none. */
export function missingHeaderValue(name: string): ArgumentTypeError {
  return new ArgumentTypeError(
    "ERR_HTTP_INVALID_HEADER_VALUE",
    `Invalid value "undefined" for header "${name}"`,
  );
}

/** ERR_UNESCAPED_CHARACTERS: `what` ("Request path") holds a space, a control or a character above U+00FF. */
export function unescapedCharacters(what: string): ArgumentTypeError {
  return new ArgumentTypeError("ERR_UNESCAPED_CHARACTERS", `${what} contains unescaped characters`);
}

/** ERR_INVALID_ARG_TYPE: `expected` reads as "of type string", "an instance of Headers or Map". */
export function invalidArgType(name: string, expected: string, value: unknown): ArgumentTypeError {
  const kind = name.includes(".") ? "property" : "argument";
  return new ArgumentTypeError(
    "ERR_INVALID_ARG_TYPE",
    `The "${name}" ${kind} must be ${expected}. Received ${typeName(value)}`,
  );
}

/** ERR_INVALID_ARG_VALUE: `value` is of the right type and still not possible, because of `why`. */
export function invalidArgValue(name: string, why: string, value: unknown): ArgumentTypeError {
  const kind = name.includes(".") ? "property" : "argument";
  return new ArgumentTypeError(
    "ERR_INVALID_ARG_VALUE",
    `The ${kind} '${name}' ${why}. Received ${typeof value === "string" ? `'${value}'` : show(value)}`,
  );
}

/** ERR_OUT_OF_RANGE: `range` reads as ">= 0", "an integer". */
export function outOfRange(name: string, range: string, value: unknown): ArgumentRangeError {
  return new ArgumentRangeError(
    "ERR_OUT_OF_RANGE",
    `The value of "${name}" is out of range. It must be ${range}. Received ${show(value)}`,
  );
}

/** ERR_SOCKET_BAD_PORT, in Node's words. */
export function badPort(port: unknown): ArgumentRangeError {
  return new ArgumentRangeError(
    "ERR_SOCKET_BAD_PORT",
    `Port should be >= 0 and < 65536. Received ${typeName(port)}.`,
  );
}

/** ERR_HTTP_CONTENT_LENGTH_MISMATCH: a body of `actual` bytes (or at least so many) under a Content-Length of `declared`. */
export function contentLengthMismatch(actual: number, declared: number): ArgumentTypeError {
  return new ArgumentTypeError(
    "ERR_HTTP_CONTENT_LENGTH_MISMATCH",
    `Request body of ${actual} byte(s) does not match the Content-Length of ${declared} byte(s)`,
  );
}

// A value in a message: never throws, whatever toString() does.
function show(value: unknown): string {
  switch (typeof value) {
    case "string":
      return value;
    case "symbol":
      return value.toString();
    case "object":
    case "function":
      return value === null ? "null" : typeName(value);
    default:
      return String(value);
  }
}

// As Node words it: a long string is cut, and an object never shown.
function typeName(value: unknown): string {
  if (value === null || value === undefined) return String(value);
  if (typeof value === "object") return `an instance of ${value.constructor?.name ?? "Object"}`;
  if (typeof value === "function") return `function ${value.name}`;
  if (typeof value !== "string") return `type ${typeof value} (${show(value)})`;
  return `type string ('${value.length > 28 ? `${value.slice(0, 25)}...` : value}')`;
}

/** Facts that come with a {@linkcode ProtocolError}. */
export interface ProtocolErrorInit {
  /** What the peer did wrong, in a few words; the message is `Parse Error: ${reason}`. */
  readonly reason: string;
  /** Offset in `rawPacket` at which the parser stopped. */
  readonly bytesParsed?: number | undefined;
  /** The bytes in hand when the parser stopped; the error keeps this very array. */
  readonly rawPacket?: Uint8Array | undefined;
}

/** What is known of a request that failed. */
export interface FailureFacts {
  /** The connection had carried an earlier request; false where there was no connection. */
  readonly reusedSocket: boolean;
  /** Bytes of the request given to the socket, whether or not they left, in the last attempt. */
  readonly bytesWritten: number;
  /** Bytes received in the last attempt, interim responses included. */
  readonly bytesRead: number;
  /** How often it was tried: from 1 on. */
  readonly attempts: number;
}

/** What every error carries that ends a request: `agent.request` and `fetch` fill the facts in. */
export class RequestFailure extends Error implements Partial<FailureFacts> {
  /** The connection had carried an earlier request; false where there was no connection. */
  declare readonly reusedSocket?: boolean;
  /** Bytes of the request given to the socket, whether or not they left, in the last attempt. */
  declare readonly bytesWritten?: number;
  /** Bytes received in the last attempt, interim responses included. */
  declare readonly bytesRead?: number;
  /** How often the request was tried: from 1 on. */
  declare readonly attempts?: number;
}

/** What a reader of bytes found wrong, and at which byte of those in hand. */
export interface ByteFault {
  /** llhttp's name of the fault. */
  readonly code: ProtocolErrorCode;
  /** What is wrong, in a few words. */
  readonly reason: string;
  /** Offset of the byte that showed it. */
  readonly at: number;
}

/** The peer broke HTTP, or one of our limits. The connection is closed and never used again. */
export class ProtocolError extends RequestFailure {
  /** The class's name. */
  override readonly name: string = "ProtocolError";
  /** llhttp's name of the fault. */
  readonly code: ProtocolErrorCode;
  /** What the peer did wrong, in a few words. */
  readonly reason: string;
  /** Offset in `rawPacket` at which the parser stopped. */
  readonly bytesParsed: number;
  /** The bytes in hand when the parser stopped: a copy. Empty where the fault is the end of the stream. */
  readonly rawPacket: Uint8Array;

  /** Makes the error from its code and facts. */
  constructor(code: ProtocolErrorCode, init: ProtocolErrorInit) {
    super(`Parse Error: ${init.reason}`);
    this.code = code;
    this.reason = init.reason;
    this.bytesParsed = init.bytesParsed ?? 0;
    this.rawPacket = init.rawPacket ?? new Uint8Array(0);
  }
}

/** What took too long. */
export type TimeoutPhase = "pool" | "connect" | "headers" | "body" | "total";

/**
 * A deadline of ours passed.
 *
 * @example
 * ```ts
 * import { Agent, TimeoutError } from "@holdfast/agent";
 *
 * try {
 *   await new Agent().request("http://127.0.0.1:8080/", { timeouts: { headers: 1_000 } });
 * } catch (error) {
 *   if (!(error instanceof TimeoutError)) throw error;
 *   console.log("Gave up in the phase", error.phase);
 * }
 * ```
 */
export class TimeoutError extends RequestFailure {
  /** The class's name. */
  override readonly name: string = "TimeoutError";
  /** Always "ETIMEDOUT". */
  readonly code = "ETIMEDOUT" as const;
  /** What took too long. */
  readonly phase: TimeoutPhase;

  /** Makes the error; `timeoutMs` is the limit that passed. */
  constructor(phase: TimeoutPhase, timeoutMs: number) {
    super(`Request timed out: ${phase} took more than ${timeoutMs} ms`);
    this.phase = phase;
  }
}

/** The user ended it. */
export class AbortError extends RequestFailure {
  /** The class's name. */
  override readonly name: string = "AbortError";
  /** Always "ABORT_ERR". */
  readonly code = "ABORT_ERR" as const;

  /** Makes the error; `reason` is the signal's, kept as `cause`. */
  constructor(reason?: unknown) {
    super("The operation was aborted", reason === undefined ? undefined : { cause: reason });
  }
}

/** The peer ended the connection before the response was complete. Node says the same by ECONNRESET, "socket hang up". */
export class ConnectionClosedError extends RequestFailure {
  /** The class's name. */
  override readonly name: string = "ConnectionClosedError";
  /** Always "ECONNRESET". */
  readonly code = "ECONNRESET" as const;
}

/** ERR_BODY_USED: a body is read once. */
export function bodyUsed(): ArgumentTypeError {
  return new ArgumentTypeError("ERR_BODY_USED", "The body has been read already");
}

/** The agent was destroyed while the request was queued or under way. */
export class AgentDestroyedError extends RequestFailure {
  /** The class's name. */
  override readonly name: string = "AgentDestroyedError";
  /** Always "ERR_AGENT_DESTROYED". */
  readonly code = "ERR_AGENT_DESTROYED" as const;

  /** Makes the error. */
  constructor() {
    super("The agent was destroyed");
  }
}

/** The agent is closed: it takes no request any more. */
export class AgentClosedError extends RequestFailure {
  /** The class's name. */
  override readonly name: string = "AgentClosedError";
  /** Always "ERR_AGENT_CLOSED". */
  readonly code = "ERR_AGENT_CLOSED" as const;

  /** Makes the error. */
  constructor() {
    super("The agent is closed");
  }
}

/** The pool has no place for a request. */
export class PoolError extends RequestFailure {
  /** The class's name. */
  override readonly name: string = "PoolError";
  /** ERR_POOL_QUEUE_FULL or ERR_POOL_SLOT_LOST. */
  readonly code: "ERR_POOL_QUEUE_FULL" | "ERR_POOL_SLOT_LOST";

  /** Makes the error from its code. */
  constructor(code: "ERR_POOL_QUEUE_FULL" | "ERR_POOL_SLOT_LOST") {
    super(
      code === "ERR_POOL_QUEUE_FULL"
        ? "Too many requests wait for a connection"
        : "The connection was taken back",
    );
    this.code = code;
  }
}

/** The source of a request's body failed, or gave what cannot be sent: `cause` says how. The connection is closed. */
export class BodySourceError extends RequestFailure {
  /** The class's name. */
  override readonly name: string = "BodySourceError";
  /** Always "ERR_BODY_SOURCE". */
  readonly code = "ERR_BODY_SOURCE" as const;

  /** Makes the error; `cause` is what the source threw. */
  constructor(cause: unknown) {
    super("The source of the request's body failed", { cause });
  }
}

/** A content coding of the response is unknown here, one of too many, or its data is broken. */
export class DecodingError extends RequestFailure {
  /** The class's name. */
  override readonly name: string = "DecodingError";
  /** Always "ERR_CONTENT_DECODING". */
  readonly code = "ERR_CONTENT_DECODING" as const;
}

/** fetch met a redirect that it may not follow: one too many, to no URL, with a body that can be read once... */
export class RedirectError extends RequestFailure {
  /** The class's name. */
  override readonly name: string = "RedirectError";
  /** Always "ERR_REDIRECT". */
  readonly code = "ERR_REDIRECT" as const;
}

/** The body that fetch has read is not the one that `integrity` asks for. */
export class IntegrityError extends RequestFailure {
  /** The class's name. */
  override readonly name: string = "IntegrityError";
  /** Always "ERR_INTEGRITY". */
  readonly code = "ERR_INTEGRITY" as const;
}

/**
 * What fetch fails with, by the Fetch Standard a TypeError: `cause` is the error that `agent.request` would have failed
 * with, and the members that a program switches on are repeated here.
 */
export class FetchError extends TypeError implements Partial<FailureFacts> {
  /** The cause's. */
  readonly code: string | undefined;
  /** The connection had carried an earlier request. */
  readonly reusedSocket?: boolean;
  /** Bytes of the request given to the socket, whether or not they left, in the last attempt. */
  readonly bytesWritten?: number;
  /** Bytes received in the last attempt. */
  readonly bytesRead?: number;
  /** How often the request was tried: from 1 on. */
  readonly attempts?: number;

  /** Makes the error from its cause. Its message is undici's, by which libraries know a network error. */
  constructor(cause: Error & Partial<FailureFacts> & { readonly code?: unknown }) {
    super("fetch failed", { cause });
    const { code, reusedSocket, bytesWritten, bytesRead, attempts } = cause;
    this.code = typeof code === "string" ? code : undefined;
    if (attempts !== undefined) Object.assign(this, { reusedSocket, bytesWritten, bytesRead, attempts });
  }
}

/** Tells an error of ours what is known of the request that it ended; an error of anybody else's is left as it is. */
export function tellFacts(error: Error, facts: FailureFacts): void {
  if (error instanceof RequestFailure) Object.assign(error, facts);
}
