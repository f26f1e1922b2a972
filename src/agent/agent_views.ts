/**
 * `agent.sockets`, `agent.freeSockets` and `agent.requests`: the pool as Node shows it. Owns the three objects; counts
 * nothing, and costs nothing until somebody looks.
 *
 * Strategy: objects without a prototype that hold nothing themselves: each look reads the pool. An array is a snapshot of
 * its moment; the streams and requests in it are the same objects each time. The pool cannot be brought out of step by what
 * is written into a view. It is kept all the same, beside what is the pool's: agents made from agent-base enter a stand-in
 * for each connection that they are making.
 *
 * @module
 */

import type { Duplex } from "node:stream";
import type { RequestsView, SocketsView } from "./agent_types.ts";
import type { ConnectionPool } from "./connection_pool.ts";
import type { PooledConnection, Waiter } from "./pooled_connection.ts";

/** A pool, as Node's agents show theirs. */
export interface PoolViews {
  /** Connections in use, being made and being closed. */
  readonly sockets: SocketsView;
  /** Parked connections. */
  readonly freeSockets: SocketsView;
  /** Requests in the queue. */
  readonly requests: RequestsView;
}

/** Makes the views of a pool. */
export function poolViews(pool: ConnectionPool): PoolViews {
  const { core } = pool;
  const names = (): Iterable<string> => core.names();
  return {
    sockets: makeView({ names, member: (name) => streamsOf(pool.taken(name)) }) as SocketsView,
    freeSockets: makeView({ names, member: (name) => streamsOf(core.free(name)) }) as SocketsView,
    requests: makeView({
      names,
      member: (name) => core.queued(name)?.map(({ waiter }) => waiter!.request),
    }) as RequestsView,
  };
}

function streamsOf(
  slots: { connection: PooledConnection | undefined; waiter: Waiter | undefined }[] | undefined,
): Duplex[] | undefined {
  const streams = slots?.map(({ connection, waiter }) => (connection ?? waiter?.pooled)?.stream)
    .filter((stream) => stream !== undefined);
  return streams === undefined || streams.length === 0 ? undefined : streams;
}

/** An object whose members are read off when they are asked for; undefined: there is no such member. */
interface ViewSource<T> {
  /** The names of the members. */
  names(): Iterable<string>;
  /** One member. */
  member(name: string): T[] | undefined;
}

/** util.inspect() and console.log() look past a proxy, at its target: this is all that it has for them. */
const INSPECT = Symbol.for("nodejs.util.inspect.custom");

/** An array that a user has put in a view, with the pool's members in front of his own. */
class Guest<T> {
  readonly #list: T[];
  #shown: readonly T[] = [];
  #wasUsed = false;

  constructor(list: T[]) {
    this.#list = list;
  }

  /** The array, as it is now; undefined: it was used, and holds nothing any more. */
  look(members: readonly T[] | undefined): T[] | undefined {
    const shown = new Set(this.#shown);
    const own = this.#list.filter((one) => !shown.has(one));
    this.#shown = members ?? [];
    this.#list.splice(0, this.#list.length, ...this.#shown, ...own);
    if (this.#list.length === 0 && this.#wasUsed) return undefined;
    this.#wasUsed ||= this.#list.length > 0;
    return this.#list;
  }
}

function makeView<T>(source: ViewSource<T>): Readonly<Record<string, T[] | undefined>> {
  const guests = new Map<string, Guest<T>>();
  const member = (name: string | symbol): T[] | undefined => {
    if (typeof name !== "string") return undefined;
    const members = source.member(name);
    const guest = guests.get(name);
    if (guest === undefined) return members;
    const list = guest.look(members);
    if (list === undefined) guests.delete(name);
    return list;
  };
  const put = (name: string | symbol, list: unknown): boolean => {
    if (typeof name === "string" && Array.isArray(list)) guests.set(name, new Guest(list));
    return true;
  };
  const shown = (): object => ({ __proto__: null, ...view });
  const target = Object.defineProperty(Object.create(null), INSPECT, { value: shown, configurable: true });
  const view: Record<string, T[] | undefined> = new Proxy(target, {
    get: (_target, name): T[] | undefined => member(name),
    has: (_target, name): boolean => member(name) !== undefined,
    ownKeys: (): string[] =>
      [...new Set([...source.names(), ...guests.keys()])].filter((name) => member(name) !== undefined),
    getOwnPropertyDescriptor: (_target, name): PropertyDescriptor | undefined => {
      const value = member(name);
      return value && { value, enumerable: true, configurable: true, writable: true };
    },
    set: (_target, name, list): boolean => put(name, list),
    deleteProperty: (_target, name): boolean => guests.delete(name as string) || true,
    defineProperty: (_target, name, { value }): boolean => put(name, value),
  });
  return view;
}
