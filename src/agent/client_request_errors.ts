/**
 * What a connection fails with, as Node's client says it. Owns the codes, messages and members of those errors; knows no
 * request, and decides nothing about one.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { AgentDestroyedError, ConnectionClosedError, ProtocolError } from "./core/errors.ts";
import { connectionReset, socketFailure } from "./outgoing_message_errors.ts";
import { SocketError } from "../runtime/errors.ts";

const NOT_HTTP = "Expected HTTP/, RTSP/ or ICE/";

/**
 * The error that Node's client has for it. `isNodes`: it is of a stream of Node's, whose own error is the cause; `told` is
 * the error that such a stream has told itself.
 */
export function nodeError(error: Error, isNodes: boolean, told: unknown): Error {
  if (isHangUp(error)) return connectionReset("socket hang up", error);
  if (error instanceof ProtocolError) return parseError(error);
  if (!(error instanceof SocketError) || !(error.cause instanceof Error)) return error;
  // What a native socket said has our members added. A look-up of the user's, or node:dns's, has failed in its own words.
  const isUsers = told === error.cause ||
    (error.phase === "lookup" && error.cause.message === error.message);
  return isNodes || isUsers || isUnchanged(error.cause, error) ? error.cause : socketFailure(error);
}

/**
 * A handshake that failed is, to who had begun to write, a write that failed: Node's client writes ahead of it. `failed` is
 * what {@linkcode nodeError} makes of it, and the cause of what is told.
 */
export function handshakeError(error: Error, failed: Error): Error {
  if (!(error instanceof SocketError) || error.phase !== "tls" || !error.code.startsWith("ERR_SSL_")) {
    return failed;
  }
  return Object.assign(new Error(`write EPROTO ${inOpenSslWords(failed.message)}`, { cause: failed }), {
    code: "EPROTO",
    syscall: "write",
  });
}

// BoringSSL has names where OpenSSL, and programs that look for its words, have sentences.
function inOpenSslWords(message: string): string {
  return message.replace(
    /OPENSSL_internal:([A-Z0-9_]+)/,
    (_all, reason: string) => reason.toLowerCase().replaceAll("_", " "),
  );
}

/** Bytes behind a response that are no further one, from `begin` on; `mayFollow`: one might have been there. */
export function surplusError(chunk: Uint8Array, begin: number, mayFollow: boolean): ProtocolError {
  const facts = { bytesParsed: begin, rawPacket: Buffer.from(chunk) };
  return mayFollow
    ? new ProtocolError("HPE_INVALID_CONSTANT", { reason: NOT_HTTP, ...facts })
    : new ProtocolError("HPE_CLOSED_CONNECTION", { reason: "Data after `Connection: close`", ...facts });
}

/** A 101 that changes to nothing. */
export function unaskedUpgrade(): ProtocolError {
  return new ProtocolError("HPE_INVALID_CONSTANT", { reason: "101 without Upgrade" });
}

/** A request that agent.destroy() finds on a connection hears of that, as in Node; one that waits hears why. */
export function isDestroyed(error: Error): boolean {
  return error instanceof AgentDestroyedError;
}

/** The other side, or a stream's owner, ended it without a word. */
export function isHangUp(error: Error): boolean {
  return error instanceof ConnectionClosedError || isDestroyed(error) ||
    (error instanceof SocketError && error.code === "ERR_STREAM_PREMATURE_CLOSE");
}

// As Node's parser says it: it knows two more protocols, and its bytes are a Buffer.
function parseError(error: ProtocolError): ProtocolError {
  const { buffer, byteOffset, byteLength } = error.rawPacket;
  const reason = error.reason === "Expected HTTP/" ? NOT_HTTP : error.reason;
  return Object.assign(error, {
    reason,
    message: `Parse Error: ${reason}`,
    rawPacket: Buffer.from(buffer, byteOffset, byteLength),
  });
}

// Errors of Node's own keep their message when they are translated; those of other sockets are given Node's.
function isUnchanged(cause: Error, error: SocketError): boolean {
  return cause.message === error.message && (cause as { code?: unknown }).code === error.code;
}
