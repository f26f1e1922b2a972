/**
 * Between an agent and its pool: which of Node's methods somebody has replaced, and who looks at the streams. Owns the
 * answer to both, taken anew each time, and the map from a stream to its connection.
 *
 * Strategy: a method counts as replaced when it is not one of ours. Where nobody has replaced any and nobody listens, the
 * pool makes no stream, calls no method of the agent and pays a few comparisons for it.
 *
 * @module
 */

import type { Duplex } from "node:stream";
import type { ConnectionPool, PoolHooks, StreamAnswer } from "./connection_pool.ts";
import type { KnownEndpoint } from "./endpoint_table.ts";
import { AdoptedStream, ForeignRequest } from "./foreign_request.ts";
import type { PooledConnection, Waiter } from "./pooled_connection.ts";
import { outside, run } from "../runtime/context.ts";

/** What the hooks use of an agent. */
export interface HookedAgent {
  createConnection: unknown;
  createSocket(request: never, options: object, answer: StreamAnswer): void;
  keepSocketAlive(stream: never): unknown;
  reuseSocket(stream: never, request: never): void;
  removeSocket(stream: never, options: object): void;
  listenerCount(event: string): number;
  listeners(event: string): unknown[];
  emit(event: string, ...args: unknown[]): boolean;
}

const ours = new Set<unknown>();

/** Notes the default bodies of an agent's methods; whatever is not among them is a replacement. */
export function noteDefaults(...methods: unknown[]): void {
  for (const method of methods) ours.add(method);
}

/** True if somebody has put another function in a default's place. */
export function isReplaced(method: unknown): boolean {
  return !ours.has(method);
}

/** See the file's comment. */
export class AgentHooks implements PoolHooks {
  readonly #agent: HookedAgent;
  readonly #connections = new WeakMap<Duplex, PooledConnection>();
  /** The agent's own listener of 'free'. */
  pooling: unknown;

  /** The hooks of one agent. */
  constructor(agent: HookedAgent) {
    this.#agent = agent;
  }

  get isDialReplaced(): boolean {
    return isReplaced(this.#agent.createConnection) || isReplaced(this.#agent.createSocket);
  }

  get keepSocketAlive(): ((stream: Duplex) => unknown) | undefined {
    const { keepSocketAlive } = this.#agent;
    return isReplaced(keepSocketAlive)
      ? (stream) => keepSocketAlive.call(this.#agent, stream as never)
      : undefined;
  }

  get reuseSocket(): ((stream: Duplex, request: object) => void) | undefined {
    const { reuseSocket } = this.#agent;
    if (!isReplaced(reuseSocket)) return undefined;
    return (stream, request) => reuseSocket.call(this.#agent, stream as never, request as never);
  }

  get isKeyLogWatched(): boolean {
    return this.#agent.listenerCount("keylog") > 0;
  }

  get isStreamWatched(): boolean {
    return this.isKeyLogWatched || isReplaced(this.#agent.removeSocket);
  }

  get isFreeWatched(): boolean {
    // The first listener is the pool's own.
    return this.#agent.listenerCount("free") > 1;
  }

  get isFreePreceded(): boolean {
    return this.#agent.listeners("free")[0] !== this.pooling;
  }

  openStream(waiter: Waiter, answer: StreamAnswer): void {
    if (waiter instanceof AdoptedStream) return answer(null, waiter.stream);
    const { options } = waiter.endpoint;
    const open = (): void => this.#agent.createSocket(waiter.request as never, options, answer);
    // A method of the user's runs in the context of the request that it is called for; a stream of ours belongs to no request.
    if (!this.isDialReplaced) outside(open);
    else if (waiter.context === undefined) open();
    else run(waiter.context, open, undefined, undefined);
  }

  onStream(stream: Duplex, pooled: PooledConnection): void {
    this.#connections.set(stream, pooled);
    if (this.isKeyLogWatched) this.passKeylog(stream);
  }

  onFree(stream: Duplex, endpoint: KnownEndpoint): void {
    this.#agent.emit("free", stream, endpoint.options);
  }

  onRemove(stream: Duplex, endpoint: KnownEndpoint): void {
    this.#connections.delete(stream);
    const { removeSocket } = this.#agent;
    if (isReplaced(removeSocket)) removeSocket.call(this.#agent, stream as never, endpoint.options);
  }

  /** The connection of a stream; undefined: the pool does not know it. */
  connectionOf(stream: Duplex): PooledConnection | undefined {
    return this.#connections.get(stream);
  }

  /** Has the agent tell the key log of a stream. */
  passKeylog(stream: Duplex): void {
    stream.on("keylog", (line: unknown) => this.#agent.emit("keylog", line, stream));
  }

  /** What the agent's own listener of 'free' does: the pooling. */
  pool(pool: ConnectionPool, stream: Duplex, endpointOf: () => KnownEndpoint): void {
    const pooled = this.#connections.get(stream);
    if (pooled === undefined) {
      const waiter = new AdoptedStream(stream, endpointOf());
      pool.ask(waiter, true);
      if (waiter.pooled === undefined && pool.cancel(waiter)) stream.destroy();
    } else if (pooled.borrower instanceof ForeignRequest) {
      pooled.borrower.giveBack(stream);
    } else if (pooled.borrower !== undefined) {
      pooled.takeBack(Infinity);
    } else pooled.takeIdle();
  }
}
