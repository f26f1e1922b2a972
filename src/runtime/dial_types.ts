/**
 * What a dialer works with: the adapter that it dials by, the resolver, and the socket that it may show meanwhile. Types alone.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import type { SocketError } from "./errors.ts";
import type { Capabilities } from "./capabilities.ts";
import type { ConnectOptions, LookupAddress, LookupFunction, Socket, SocketHandler } from "./socket.ts";

/** A `Connect` that may call `onTransport`, once, when a connection is there and TLS begins on it. */
export type AttemptConnect = (
  options: ConnectOptions,
  handler: SocketHandler,
  onTransport?: () => void,
) => Socket;

/** A socket to be shown while others connect; it is connecting until it is given a connection. */
export interface HeldConnect {
  /** The socket. Its handler is told as any other's. */
  readonly socket: Socket;
  /** Its user has ended it, which it tells soon. */
  readonly isGone: boolean;
  /** The name has these addresses. */
  onLookup(addresses: readonly LookupAddress[]): void;
  /** One of them is tried. */
  onAttempt(address: LookupAddress): void;
  /** That has failed. */
  onFailure(address: LookupAddress, error: SocketError): void;
  /** The connection of another socket of the same adapter, plain and open, becomes its own. */
  adopt(winner: Socket): void;
  /** There will be no connection. */
  fail(error: SocketError): void;
}

/** What a dialer works with. */
export interface DialerSettings {
  /** Makes each attempt. */
  readonly connect: AttemptConnect;
  /** `connect` calls `onTransport`; else TLS is started on the winner, or is a part of each attempt. Default false. */
  readonly tellsTransport?: boolean | undefined;
  /** What `connect` honours. `family`, `lookup` and `hints` the dialer honours itself. */
  readonly capabilities: Capabilities;
  /** Finds all addresses of a name, unless a connect brings a look-up of its own. */
  readonly lookup: LookupFunction;
  /** Flags that a connect's own look-up is given where neither flags nor a family are asked for. Default 0. */
  readonly lookupHints?: number | undefined;
  /** Makes a socket to be shown before there is a connection; undefined: it cannot. */
  readonly hold?:
    | ((
      options: ConnectOptions,
      handler: SocketHandler,
      onReference: (isReferenced: boolean) => void,
    ) => HeldConnect | undefined)
    | undefined;
  /**
   * Puts what a look-up that has answered inside of the call leads to behind what its caller does first. Default: a
   * microtask.
   */
  readonly defer?: ((fn: () => void) => void) | undefined;
  /** Default: the system's. */
  readonly clock?: Clock | undefined;
}
