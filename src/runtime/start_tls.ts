/**
 * What is asked before TLS is started on an open connection (RFC 9110 section 9.3.6, a tunnel; STARTTLS): that the options are
 * honoured, and that nothing is under way that TLS would take for its own. Owns the questions and their errors; must not
 * know how an adapter starts TLS.
 *
 * @module
 */

import { readStartTlsOptions } from "./connect_options.ts";
import { assertHonoured, invalidState } from "./errors.ts";
import { type Capabilities, unsupportedTlsOption } from "./capabilities.ts";
import type { StartTlsOptions } from "./socket.ts";

/** What an adapter honours of `startTls`. */
export interface StartTlsRules {
  /** Its table. */
  readonly capabilities: Capabilities;
  /** The option whose value it does not honour although it has the option, or undefined. */
  readonly refuses: (options: StartTlsOptions) => string | undefined;
}

/** A socket that is to start TLS. */
export interface TlsCandidate {
  /** Its connect is under way. */
  readonly isConnecting: boolean;
  /** Either side has ended it. */
  readonly hasEnded: boolean;
  /** Bytes that have not gone to the system. */
  readonly pendingBytes: number;
  /** Bytes have come that its handler has not been given. */
  readonly hasUnread: boolean;
  /** It speaks TLS. */
  readonly isTls: boolean;
  /** A read is under way that cannot be taken back; default false. */
  readonly isReading?: boolean | undefined;
}

/**
 * The options with every member their own.
 *
 * @throws TypeError or RangeError for a value of the wrong type; ERR_UNSUPPORTED_OPTION for an option that is never honoured.
 */
export function readStartTls(given: StartTlsOptions, capabilities: Capabilities): StartTlsOptions {
  const options = readStartTlsOptions(given);
  assertHonoured(unsupportedTlsOption(options, capabilities.startTlsOptions), capabilities.adapter);
  return options;
}

/**
 * All that an adapter of the runtime's own sockets asks: the options as {@linkcode readStartTls} reads them, for a socket on
 * which TLS can begin, where the adapter honours their values, too.
 *
 * @throws As {@linkcode readStartTls} and {@linkcode assertCanStartTls}; ERR_UNSUPPORTED_OPTION for a value.
 */
export function admitStartTls(
  given: StartTlsOptions,
  { capabilities, refuses }: StartTlsRules,
  socket: TlsCandidate,
): StartTlsOptions {
  const options = readStartTls(given, capabilities);
  assertCanStartTls(socket);
  assertHonoured(refuses(options), capabilities.adapter);
  return options;
}

/** Throws ERR_INVALID_STATE where TLS cannot begin on a socket. */
export function assertCanStartTls(socket: TlsCandidate): void {
  const reason = obstacle(socket);
  if (reason !== undefined) throw invalidState("start TLS on", reason);
}

function obstacle(socket: TlsCandidate): string | undefined {
  if (socket.isConnecting) return "it is connecting";
  if (socket.hasEnded) return "it has ended";
  if (socket.pendingBytes > 0) return "bytes are still to be sent";
  if (socket.hasUnread) return "bytes are still to be read";
  if (socket.isTls) return "it speaks TLS";
  return socket.isReading === true ? "it is reading: pause it first" : undefined;
}
