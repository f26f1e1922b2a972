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

/** What was known of an attempt when it failed. */
export interface FailureContext {
  /** Where in the socket's life. */
  readonly phase: SocketPhase;
  /** The peer's name or address, or the unix socket's path. */
  readonly address?: string | undefined;
  /** The peer's port. */
  readonly port?: number | undefined;
}

/** Node's errors carry Node's codes; this reads the facts off one, whichever runtime's node:net or node:tls it came from. */
export function fromNodeError(error: unknown, context: FailureContext): SocketError {
  if (error instanceof SocketError) return error;
  const facts = (typeof error === "object" && error !== null ? error : {}) as NodeErrorFacts;
  const code = typeof facts.code === "string" ? facts.code : "ERR_SOCKET_FAILED";
  return new SocketError(messageOf(error, facts, code), {
    code,
    phase: phaseOf(facts, context.phase),
    syscall: typeof facts.syscall === "string" ? facts.syscall : undefined,
    address: typeof facts.address === "string" ? facts.address : context.address,
    port: typeof facts.port === "number" ? facts.port : context.port,
    cause: error,
  });
}

/** The members of Node's system errors and of the AggregateError that a race of addresses fails with. */
interface NodeErrorFacts {
  readonly code?: unknown;
  readonly syscall?: unknown;
  readonly address?: unknown;
  readonly port?: unknown;
  readonly message?: unknown;
  readonly errors?: readonly unknown[];
}

function phaseOf(facts: NodeErrorFacts, phase: SocketPhase): SocketPhase {
  return phase === "connect" && facts.syscall === "getaddrinfo" ? "lookup" : phase;
}

// net's AggregateError has a code and an empty message (measured on Node 20 and 24).
function messageOf(error: unknown, facts: NodeErrorFacts, code: string): string {
  if (typeof facts.message === "string" && facts.message !== "") return facts.message;
  const messages = (facts.errors ?? []).map((each) => each instanceof Error ? each.message : String(each));
  return messages.length > 0 ? messages.join("; ") : code === "ERR_SOCKET_FAILED" ? String(error) : code;
}

/** A caller's fault, thrown at once: a TypeError or RangeError with Node's `code`. */
export function argumentError(
  code: string,
  message: string,
  base: typeof TypeError | typeof RangeError = TypeError,
): Error & { code: string } {
  return Object.assign(new base(message), { code });
}

/** ERR_UNSUPPORTED_OPTION: a binding option was given that no adapter in question honours. */
export function unsupportedOptionError(option: string, adapter: string): Error & { code: string } {
  return argumentError(
    "ERR_UNSUPPORTED_OPTION",
    `Cannot connect with option "${option}": adapter "${adapter}" does not honour it`,
  );
}
