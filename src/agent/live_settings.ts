/**
 * An agent's members as its pool reads them: at each use, so that what a user writes holds from then on, and so that what
 * makes no sense counts as unset instead of wedging the pool. Owns that reading; what the constructor was given is checked in
 * `options.ts`. Must not know the pool.
 *
 * @module
 */

import type { PoolSettings } from "./connection_pool.ts";
import type { ForeignSettings } from "./foreign_request.ts";
import { type AgentSettings, DEFAULT_MAX_FREE_SOCKETS, probeDelay } from "./options.ts";

/** The members that are read. */
export interface MutableAgent {
  readonly keepAlive: boolean;
  readonly keepAliveMsecs: number;
  readonly agentKeepAliveTimeoutBuffer: number;
  readonly maxSockets: number;
  readonly maxTotalSockets: number;
  readonly maxFreeSockets: number;
  readonly scheduling: "lifo" | "fifo";
  readonly options: { readonly timeout?: number | undefined };
}

/** See the file's comment. */
export class LiveSettings implements PoolSettings, ForeignSettings {
  readonly maxPending: number;
  readonly queueTimeout: number;
  readonly connectTimeout: number;
  readonly maxLifetime: number;
  readonly maxRequestsPerSocket: number;
  readonly unreadBodyTimeout: number;
  readonly #idleTimeout: number | undefined;
  readonly #agent: MutableAgent;

  /** `settings` are what the agent was made with, for what cannot change. */
  constructor(agent: MutableAgent, settings: AgentSettings) {
    this.#agent = agent;
    this.maxPending = settings.maxPending;
    this.queueTimeout = settings.queueTimeout;
    this.connectTimeout = settings.connectTimeout;
    this.maxLifetime = settings.maxLifetime;
    this.maxRequestsPerSocket = settings.maxRequestsPerSocket;
    this.unreadBodyTimeout = settings.unreadBodyTimeout;
    this.#idleTimeout = settings.idleTimeout;
  }

  get keepAlive(): boolean {
    return this.#agent.keepAlive;
  }

  get keepAliveMsecs(): number {
    return probeDelay(this.#agent.keepAliveMsecs);
  }

  get agentKeepAliveTimeoutBuffer(): number {
    return this.#agent.agentKeepAliveTimeoutBuffer;
  }

  get maxSockets(): number {
    const { maxSockets } = this.#agent;
    // As in Node, 0 counts as unset in the options alone: written into the member it holds every request back.
    return maxSockets === 0 ? 0 : capOr(maxSockets, Infinity);
  }

  get maxTotalSockets(): number {
    return capOr(this.#agent.maxTotalSockets, Infinity);
  }

  get maxFreeSockets(): number {
    const { maxFreeSockets } = this.#agent;
    return maxFreeSockets >= 0 ? maxFreeSockets : DEFAULT_MAX_FREE_SOCKETS;
  }

  get scheduling(): "lifo" | "fifo" {
    return this.#agent.scheduling;
  }

  get timeout(): number | undefined {
    return this.#agent.options.timeout || undefined;
  }

  get idleTimeout(): number {
    return this.#idleTimeout ?? this.timeout ?? Infinity;
  }
}

/** 0, NaN and what is no number are unset, as in Node's constructor. */
function capOr(cap: number, unset: number): number {
  return cap >= 1 ? cap : unset;
}
