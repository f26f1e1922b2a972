/**
 * When what happened to a request. Knows no clock: it is told the moments.
 *
 * @module
 */

import type { SocketOpening } from "../runtime/socket.ts";

/**
 * Moments of a request in ms since the call, in the order in which they come; after a retry those of the last attempt,
 * since the same call. Undefined: it has not come to that, there was nothing of the kind, or it cannot be told.
 */
export interface RequestTimings {
  /** The wait for a place under the caps was over: a connection was found, or began to be made. */
  readonly queued: number | undefined;
  /**
   * The name was looked up; undefined for an address, a unix socket and a reused connection, and where the adapter cannot
   * tell (capability `tellsLookup`: Deno's own sockets; the look-up is then a part of `connect`).
   */
  readonly dns: number | undefined;
  /**
   * The connection stood, and TLS began, if there is any; undefined for a reused one, and where `createConnection` gave a
   * stream that speaks TLS.
   */
  readonly connect: number | undefined;
  /** TLS was ready and the server verified; undefined on a plain connection and a reused one. */
  readonly tls: number | undefined;
  /** The last byte of the request was given to the socket, which may still have to send it. */
  readonly sent: number | undefined;
  /** The final response's head was there, whole: the promise resolves. */
  readonly firstByte: number | undefined;
  /** The response was complete, read or not. */
  readonly end: number | undefined;
}

/** The moments of one attempt, ms on one clock; undefined: it has not come to that. */
export class RequestMoments {
  /** A connection was found, or began to be made. */
  foundMs: number | undefined = undefined;
  /** A new connection was open. */
  openMs: number | undefined = undefined;
  /** How long the stages of its connect took. */
  opening: SocketOpening | undefined = undefined;
  /** The last byte of the request was given to the socket. */
  sentMs: number | undefined = undefined;
  /** The final response's head was there. */
  headMs: number | undefined = undefined;
  /** The response was complete. */
  endMs: number | undefined = undefined;

  /** The timings of a request that was made at `madeMs`. */
  since(madeMs: number, isTls: boolean): RequestTimings {
    const since = (ms: number | undefined): number | undefined => ms === undefined ? undefined : ms - madeMs;
    const { dns, connect, tls } = this.#stages(isTls);
    return {
      queued: since(this.foundMs),
      dns: since(dns),
      connect: since(connect),
      tls: since(tls),
      sent: since(this.sentMs),
      firstByte: since(this.headMs),
      end: since(this.endMs),
    };
  }

  /**
   * The stages of the connect, by the clock: the last one is over when the connection is open, and the adapter says how long
   * each took. Whoever measures two stages that meet may be stopped by the system in between, and their sum be more than the whole.
   */
  #stages(
    isTls: boolean,
  ): { dns?: number | undefined; connect?: number | undefined; tls?: number | undefined } {
    const { openMs } = this;
    if (openMs === undefined) return {};
    const { lookupMs, connectMs, tlsMs } = this.opening ?? {};
    const connect = !isTls ? openMs : tlsMs === undefined ? undefined : openMs - tlsMs;
    const hasLookup = lookupMs !== undefined && connectMs !== undefined && connect !== undefined;
    const dns = hasLookup ? Math.max(this.foundMs ?? -Infinity, connect - connectMs) : undefined;
    return { dns, connect, tls: isTls ? openMs : undefined };
  }
}
