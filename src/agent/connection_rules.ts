/**
 * What an agent says of each of its connections, as types: `live_settings.ts` and `agent_hooks.ts` read them off an agent. And
 * the one rule that it does not say. Must not know the agent itself.
 *
 * @module
 */

import type { Duplex } from "node:stream";
import type { KnownEndpoint } from "./endpoint_table.ts";

/** How long a closed connection waits for its peer's FIN, ms; then its slot comes back all the same. */
export const CLOSE_TIMEOUT_MS = 1_000;

/** What an agent says of each of its connections; read when it is needed, so that it may change. */
export interface ConnectionSettings {
  /** Connections are parked. */
  readonly keepAlive: boolean;
  /** Delay of the first TCP keep-alive probe of a parked connection, ms. */
  readonly keepAliveMsecs: number;
  /** Taken off the server's hint, ms. */
  readonly agentKeepAliveTimeoutBuffer: number;
  /** Longest time from the dial until the connection is open, ms; Infinity: none. */
  readonly connectTimeout: number;
  /** Longest time parked, ms, where the server does not hint at less; Infinity: none. */
  readonly idleTimeout: number;
  /** How long connections take new requests, ms; each up to a tenth less, so that not all end at once. Infinity: no bound. */
  readonly maxLifetime: number;
  /** How long a response's body may lie unread, ms; Infinity: no bound. */
  readonly unreadBodyTimeout: number;
  /** Most requests on one connection; Infinity: no bound. */
  readonly maxRequestsPerSocket: number;
}

/** The methods of an agent that decide about connections; streams are made only where somebody looks at them. */
export interface ConnectionHooks<Pooled> {
  /** `keepSocketAlive()`; undefined: nobody has replaced Node's. */
  readonly keepSocketAlive: ((stream: Duplex) => unknown) | undefined;
  /** `reuseSocket()`; undefined: nobody has replaced Node's. */
  readonly reuseSocket: ((stream: Duplex, request: object) => void) | undefined;
  /** Somebody wants to see each stream as soon as there is one. */
  readonly isStreamWatched: boolean;
  /** Somebody listens for the agent's 'free'. */
  readonly isFreeWatched: boolean;
  /** Somebody listens for it ahead of the pool's own listener. */
  readonly isFreePreceded: boolean;
  /** A stream has come into being that users may see. */
  onStream(stream: Duplex, pooled: Pooled): void;
  /** The stream's borrower, or a user, says that it is free; or a connection of ours is, and somebody listens. */
  onFree(stream: Duplex, endpoint: KnownEndpoint): void;
  /** A stream has closed or has been taken out of the agent. */
  onRemove(stream: Duplex, endpoint: KnownEndpoint): void;
}
