/**
 * The errors of the http face that are plain Errors with a code in Node: a caller's mistake in the use of a stream, or a
 * connection that hung up. Owns their messages, which are Node's: programs match on them. Knows no message and no socket.
 *
 * @module
 */

import { constants } from "node:os";
import { ArgumentTypeError } from "./core/errors.ts";

/** An Error with Node's `code`; its `name` stays "Error", as in Node. */
export interface CodedError extends Error {
  /** What is wrong. */
  readonly code: string;
}

function coded(code: string, message: string, cause?: unknown): CodedError {
  const error = cause === undefined ? new Error(message) : new Error(message, { cause });
  return Object.defineProperty(error, "code", {
    value: code,
    enumerable: true,
    writable: true,
    configurable: true,
  }) as CodedError;
}

/** ERR_HTTP_HEADERS_SENT: `verb` ("set", "remove", "append", "render") is what was tried after the head was made. */
export function headersSent(verb: string): CodedError {
  return coded("ERR_HTTP_HEADERS_SENT", `Cannot ${verb} headers after they are sent to the client`);
}

/** ERR_STREAM_WRITE_AFTER_END. */
export function writeAfterEnd(): CodedError {
  return coded("ERR_STREAM_WRITE_AFTER_END", "write after end");
}

/** ERR_STREAM_DESTROYED: `method` was called too late. */
export function streamDestroyed(method: string): CodedError {
  return coded("ERR_STREAM_DESTROYED", `Cannot call ${method} after a stream was destroyed`);
}

/** ERR_STREAM_ALREADY_FINISHED: `method` was called too late. */
export function alreadyFinished(method: string): CodedError {
  return coded("ERR_STREAM_ALREADY_FINISHED", `Cannot call ${method} after a stream was finished`);
}

/** ERR_STREAM_NULL_VALUES. */
export function nullChunk(): ArgumentTypeError {
  return new ArgumentTypeError("ERR_STREAM_NULL_VALUES", "May not write null values to stream");
}

/** ERR_UNKNOWN_ENCODING. */
export function unknownEncoding(encoding: string): ArgumentTypeError {
  return new ArgumentTypeError("ERR_UNKNOWN_ENCODING", `Unknown encoding: ${encoding}`);
}

/** ERR_STREAM_CANNOT_PIPE: an outgoing message is written to, never read. */
export function cannotPipe(): CodedError {
  return coded("ERR_STREAM_CANNOT_PIPE", "Cannot pipe, not readable");
}

/** ERR_METHOD_NOT_IMPLEMENTED: a subclass is to bring it. */
export function notImplemented(method: string): CodedError {
  return coded("ERR_METHOD_NOT_IMPLEMENTED", `The ${method} method is not implemented`);
}

/** ERR_HTTP_CONTENT_LENGTH_MISMATCH under `strictContentLength`. */
export function lengthMismatch(actual: number, declared: number): CodedError {
  return coded(
    "ERR_HTTP_CONTENT_LENGTH_MISMATCH",
    `Response body's content-length of ${actual} byte(s) does not match the content-length of ${declared} byte(s) set in header`,
  );
}

/** ERR_HTTP_TRAILER_INVALID: trailers belong to a chunked body (RFC 9112 section 7.1.2). */
export function trailersNotChunked(): CodedError {
  return coded("ERR_HTTP_TRAILER_INVALID", "Trailers are invalid with this transfer encoding");
}

/** ERR_HTTP_BODY_NOT_ALLOWED: the head has gone, and it announced no body. */
export function bodyNotAnnounced(): CodedError {
  return coded(
    "ERR_HTTP_BODY_NOT_ALLOWED",
    "Cannot send a body: the head has neither Content-Length nor Transfer-Encoding",
  );
}

/** ECONNRESET: "socket hang up" before the response, "aborted" inside it. */
export function connectionReset(message: "socket hang up" | "aborted", cause?: unknown): CodedError {
  return coded("ECONNRESET", message, cause);
}

/** Facts of a failed socket. */
interface SocketFacts extends Error {
  readonly code: string;
  readonly syscall?: string | undefined;
  readonly address?: string | undefined;
  readonly port?: number | undefined;
}

/** What a runtime's own socket failed with, in the form of Node's: `name` "Error", a system error's members. */
export function socketFailure(error: SocketFacts): Error {
  const { message, code, syscall, address, port, cause } = error;
  // A name that was not found has no address.
  const place = syscall === "getaddrinfo" ? { hostname: address } : { address, port };
  const number = (constants.errno as Readonly<Record<string, number>>)[code];
  const facts = { errno: number === undefined ? undefined : -number, code, syscall, ...place };
  const known = Object.entries(facts).filter(([, value]) => value !== undefined);
  return Object.assign(new Error(message, { cause }), Object.fromEntries(known));
}
