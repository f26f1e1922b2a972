/**
 * SocketError: what a socket fails with, with Node's codes on every runtime.
 *
 * Owns the one translation of each runtime's own errors, and the errors of a caller's mistakes. Must not know when a socket fails.
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

/**
 * A network failure, with Node's `code` on every runtime and the runtime's own error as `cause`.
 *
 * @example
 * ```ts
 * import { Agent, SocketError } from "@holdfast/agent";
 *
 * try {
 *   await new Agent().request("http://127.0.0.1:1/");
 * } catch (error) {
 *   if (!(error instanceof SocketError)) throw error;
 *   console.log(error.code, error.phase, error.address, error.port);
 * }
 * ```
 */
export class SocketError extends Error {
  /** The class. */
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
  /** Where it ended a request of `agent.request` or `fetch`: the connection had carried an earlier one. */
  declare readonly reusedSocket?: boolean;
  /** There too: bytes of the request given to the socket, whether or not they left. */
  declare readonly bytesWritten?: number;
  /** There too: bytes received since the request began. */
  declare readonly bytesRead?: number;
  /** There too: how often the request was tried. */
  declare readonly attempts?: number;

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

/** Whom an error names. */
export interface Peer {
  /** The peer's name or address, or the unix socket's path. */
  readonly address?: string | undefined;
  /** The peer's port. */
  readonly port?: number | undefined;
}

/** The peer of a connect: the path asked for, or the address that is known, or else the host asked for. */
export function peerOf(
  { path, host = "localhost", port }: {
    readonly path?: string | undefined;
    readonly host?: string | undefined;
    readonly port?: number | undefined;
  },
  remoteAddress?: string,
): Peer {
  return path === undefined ? { address: remoteAddress ?? host, port } : { address: path };
}

/** What was known of an attempt when it failed. */
export interface FailureContext extends Peer {
  /** Where in the socket's life. */
  readonly phase: SocketPhase;
}

/** Node's errors carry Node's codes; this reads the facts off one, whichever runtime's node:net or node:tls it came from. */
export function fromNodeError(error: unknown, context: FailureContext): SocketError {
  if (error instanceof SocketError) return error;
  const facts = (typeof error === "object" && error !== null ? error : {}) as NodeErrorFacts;
  const code = nodeCode(facts, context.phase);
  return new SocketError(messageOf(facts, code), {
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
  readonly name?: unknown;
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

// One name for one fault. OpenSSL 3.5, in Node 26, renamed its alert reasons; BoringSSL, in Bun, has others again.
const nodeAliases: readonly (readonly [RegExp, string])[] = [
  [/^ERR_SSL_SSL\/TLS_ALERT_/, "ERR_SSL_SSLV3_ALERT_"],
  [/^ERR_SSL_TLSV1_ALERT_CERTIFICATE_REQUIRED$/, "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED"],
];

// DOMException has a number there, and a user's checkServerIdentity may return an Error without a code.
function nodeCode({ code, name }: NodeErrorFacts, phase: SocketPhase): string {
  if (typeof code === "string") {
    const alias = nodeAliases.find(([pattern]) => pattern.test(code));
    return alias === undefined ? code : code.replace(alias[0], alias[1]);
  }
  if (name === "AbortError") return "ABORT_ERR";
  if (name === "TimeoutError") return "ETIMEDOUT";
  return phase === "tls" ? "EPROTO" : "ECONNABORTED";
}

// net's AggregateError has a code and an empty message (measured on Node 20 and 24).
function messageOf(facts: NodeErrorFacts, code: string): string {
  if (typeof facts.message === "string" && facts.message !== "") return facts.message;
  const messages = (facts.errors ?? []).map((each) => each instanceof Error ? each.message : String(each));
  return messages.length > 0 ? messages.join("; ") : code;
}

/** A caller's fault, thrown at once: a TypeError or RangeError with Node's `code`. */
export function argumentError(
  code: string,
  message: string,
  base: ErrorConstructor | TypeErrorConstructor | RangeErrorConstructor = TypeError,
): Error & { code: string } {
  return Object.assign(new base(message), { code });
}

/**
 * The TypeError ERR_UNSUPPORTED_OPTION: a binding option was given that no adapter in question honours. It is made here and
 * thrown by whoever refuses the option; see `unsupportedOption` for who that is.
 */
export function unsupportedOptionError(option: string, adapter: string): Error & { code: string } {
  return argumentError(
    "ERR_UNSUPPORTED_OPTION",
    `Cannot connect with option "${option}": adapter "${adapter}" does not honour it`,
  );
}

/** What was known when one of Deno's or Bun's own calls failed. */
export interface NativeFailureContext extends FailureContext {
  /** Node's name of the failed call; a failed look-up becomes "getaddrinfo" by itself. */
  readonly syscall?: string | undefined;
}

// Deno: the system's errors carry `code`; look-ups and rustls have a text alone. First match wins.
const denoNames: ReadonlyMap<string, string> = new Map([
  ["ConnectionRefused", "ECONNREFUSED"],
  ["ConnectionReset", "ECONNRESET"],
  ["ConnectionAborted", "ECONNABORTED"],
  ["NotConnected", "ENOTCONN"],
  ["AddrNotAvailable", "EADDRNOTAVAIL"],
  ["BrokenPipe", "EPIPE"],
  ["TimedOut", "ETIMEDOUT"],
  ["NetworkUnreachable", "ENETUNREACH"],
  ["PermissionDenied", "EACCES"],
  ["NotFound", "ENOENT"],
  // Deno's own permissions; Node's permission model has this code for the same refusal.
  ["NotCapable", "ERR_ACCESS_DENIED"],
  ["Interrupted", "ECONNABORTED"],
  ["AbortError", "ABORT_ERR"],
  // FIN inside the handshake; on an open connection the adapter makes an end of it.
  ["UnexpectedEof", "ECONNRESET"],
]);

const denoLookups: readonly (readonly [RegExp, string])[] = [
  [/Temporary failure in name resolution|\(os error 11002\)/, "EAI_AGAIN"],
  [
    /^invalid (empty )?host|failed to lookup address|Name or service not known|nodename nor servname|No such host is known/,
    "ENOTFOUND",
  ],
];

const denoTexts: readonly (readonly [RegExp, string])[] = [
  [/not valid for name|NotValidForName/, "ERR_TLS_CERT_ALTNAME_INVALID"],
  [/certificate expired|invalid peer certificate: Expired/, "CERT_HAS_EXPIRED"],
  [/not valid yet|NotValidYet/, "CERT_NOT_YET_VALID"],
  [/CaUsedAsEndEntity/, "DEPTH_ZERO_SELF_SIGNED_CERT"],
  [/UnknownIssuer/, "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
  [/BadSignature/, "CERT_SIGNATURE_FAILURE"],
  [/invalid peer certificate: Revoked/, "CERT_REVOKED"],
  [/InvalidPurpose/, "INVALID_PURPOSE"],
  [/InvalidContentType|corrupt message/, "ERR_SSL_WRONG_VERSION_NUMBER"],
  [/fatal alert: CertificateRequired/, "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED"],
  [/fatal alert: HandshakeFailure/, "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE"],
  [/fatal alert: ProtocolVersion/, "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION"],
  [/fatal alert: NoApplicationProtocol/, "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL"],
  [/fatal alert: Unrecogni[sz]edName/, "ERR_SSL_TLSV1_UNRECOGNIZED_NAME"],
  [/fatal alert: InternalError/, "ERR_SSL_TLSV1_ALERT_INTERNAL_ERROR"],
];

/** Gives an error of Deno's own sockets Node's code. */
export function denoError(error: unknown, context: NativeFailureContext): SocketError {
  if (error instanceof SocketError) return error;
  const { name, message, code: native } = errorFacts(error);
  const lookup = native === undefined ? match(denoLookups, message) : undefined;
  if (lookup !== undefined) {
    return nativeError(lookup, { ...context, phase: "lookup", syscall: "getaddrinfo" }, message, error);
  }
  const code = native ?? match(denoTexts, message) ?? denoNames.get(name) ??
    (context.phase === "tls" || name === "InvalidData" ? "EPROTO" : "ECONNRESET");
  return nativeError(code, context, message, error);
}

/** Gives an error of Bun's own sockets Node's code: they mostly carry it. */
export function bunError(error: unknown, context: NativeFailureContext): SocketError {
  if (error instanceof SocketError) return error;
  const { name, message, code: native } = errorFacts(error);
  if (name === "DNSException") {
    return nativeError(
      native ?? "ENOTFOUND",
      { ...context, phase: "lookup", syscall: "getaddrinfo" },
      message,
      error,
    );
  }
  const isLookup = native === "ENOTFOUND" || native === "EAI_AGAIN";
  const place = isLookup ? { ...context, phase: "lookup" as const, syscall: "getaddrinfo" } : context;
  const code = openSslCode(message) ?? native ?? (context.phase === "tls" ? "EPROTO" : "ECONNRESET");
  return nativeError(code, place, message, error);
}

// "error:100000f7:SSL routines:OPENSSL_internal:WRONG_VERSION_NUMBER", which Bun calls EPROTO and Node ERR_SSL_...
function openSslCode(message: string): string | undefined {
  const reason = /SSL routines:[^:]*:([A-Z0-9_]+)/.exec(message)?.[1];
  // BoringSSL's older name for the alert of TLS 1.3.
  if (reason === "TLSV1_ALERT_CERTIFICATE_REQUIRED") return "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED";
  return reason === undefined ? undefined : `ERR_SSL_${reason}`;
}

function errorFacts(error: unknown): { name: string; message: string; code: string | undefined } {
  if (!(error instanceof Error)) return { name: "", message: String(error), code: undefined };
  const { code } = error as { code?: unknown };
  return { name: error.name, message: error.message, code: typeof code === "string" ? code : undefined };
}

function match(table: readonly (readonly [RegExp, string])[], text: string): string | undefined {
  return table.find(([pattern]) => pattern.test(text))?.[1];
}

// Node's form of a system error, "connect ECONNREFUSED 127.0.0.1:80"; a TLS one keeps the runtime's sentence.
function nativeError(
  code: string,
  context: NativeFailureContext,
  message: string,
  cause: unknown,
): SocketError {
  const { address, port, syscall } = context;
  const isSystem = /^E[A-Z]+(_AGAIN)?$/.test(code) && context.phase !== "tls";
  const suffix = port === undefined || context.phase === "lookup" ? "" : `:${port}`;
  const target = address === undefined ? "" : ` ${address}${suffix}`;
  const text = isSystem
    ? `${syscall ?? "connect"} ${code}${context.phase === "open" ? "" : target}`
    : message;
  return new SocketError(text, { ...context, code, cause });
}

/**
 * For a `Connect` of one's own: throws RangeError ERR_SOCKET_BAD_PORT, as Node does, for what is no port, 0 to 65,535;
 * undefined passes unless it is needed.
 *
 * @example
 * ```ts
 * import { checkPort, type Connect } from "@holdfast/agent";
 *
 * declare const open: Connect;
 * const connect: Connect = (options, handler) => {
 *   checkPort(options.port, options.path === undefined);
 *   return open(options, handler);
 * };
 * ```
 */
export function checkPort(port: number | undefined, isNeeded: boolean = false): void {
  if (port === undefined ? !isNeeded : Number.isInteger(port) && port >= 0 && port <= 65535) return;
  throw argumentError("ERR_SOCKET_BAD_PORT", `Cannot connect to port "${port}": not 0 to 65535`, RangeError);
}

/** Throws ERR_UNSUPPORTED_OPTION for the option that an adapter refuses; undefined is none. */
export function assertHonoured(refused: string | undefined, adapter: string): void {
  if (refused !== undefined) throw unsupportedOptionError(refused, adapter);
}

/** Error ERR_INVALID_STATE: the socket is not in the state that a call to it needs. */
export function invalidState(action: string, reason: string): Error {
  return argumentError("ERR_INVALID_STATE", `Cannot ${action} a socket: ${reason}`, Error);
}
