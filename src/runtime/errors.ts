/**
 * SocketError: what a socket fails with, with Node's codes on every runtime.
 *
 * @module
 */

/** Where in a socket's life it failed. */
export type SocketPhase = "lookup" | "connect" | "tls" | "open";

/** Facts that come with a {@linkcode SocketError}. */
export interface SocketErrorInit {
  /** Node's code. */
  readonly code: string;
  /** Where in the socket's life. */
  readonly phase: SocketPhase;
  /** Node's name of the failed call: "connect", "read", "write", "getaddrinfo". */
  readonly syscall?: string | undefined;
  /** The peer's address or, before one is known, its name. */
  readonly address?: string | undefined;
  /** The peer's port. */
  readonly port?: number | undefined;
  /** The runtime's own error. */
  readonly cause?: unknown;
}

/** A network failure, with Node's `code` on every runtime and the runtime's own error as `cause`. */
export class SocketError extends Error {
  override readonly name: string = "SocketError";
  /** Node's code: ECONNREFUSED, ECONNRESET, CERT_HAS_EXPIRED... */
  readonly code: string;
  /** Where in the socket's life it failed. */
  readonly phase: SocketPhase;
  /** Node's name of the failed call. */
  readonly syscall: string | undefined;
  /** The peer's address or name. */
  readonly address: string | undefined;
  /** The peer's port. */
  readonly port: number | undefined;

  /** Makes the error from its message and facts. */
  constructor(message: string, init: SocketErrorInit) {
    super(message, init.cause === undefined ? undefined : { cause: init.cause });
    this.code = init.code;
    this.phase = init.phase;
    this.syscall = init.syscall;
    this.address = init.address;
    this.port = init.port;
  }
}
