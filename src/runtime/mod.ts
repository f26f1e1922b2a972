/**
 * Picks the adapter: the fastest one here that honours every binding option of a connect.
 *
 * Owns which adapters this runtime has and their order. With deno.ts and bun.ts it is the only file that names `Deno` and
 * `Bun`. Must not know HTTP, nor translate an option: that is the adapters'.
 *
 * Strategy: each adapter has a capability table, and a connect goes to the first whose table holds every option given.
 * Options are of two classes: a binding one routes or is refused, a hint never routes.
 *
 * @module
 */

import { bunCapabilities, type BunLike, bunRefuses, createBunConnect } from "./bun.ts";
import { readConnectOptions } from "./connect_options.ts";
import { outside, useContextSlot } from "./context.ts";
import { createDenoConnect, denoCapabilities, denoContextSlot, type DenoLike, denoRefuses } from "./deno.ts";
import type { PairingDeno } from "./deno_pair.ts";
import { createDenoPoll } from "./deno_poll.ts";
import { createDialer, dialledSocket, shownSocket } from "./dial.ts";
import { argumentError, unsupportedOptionError } from "./errors.ts";
import {
  connectNode,
  createNodeConnect,
  lendDuplex as lendNodeDuplex,
  lookupHints,
  lookupNode,
  nodeCapabilities,
  type NodeConnect,
  returnDuplex as returnNodeDuplex,
  streamOf as nodeStreamOf,
} from "./node.ts";
import { holdNode } from "./node_held.ts";
import { nextTick } from "./process.ts";
import { type Capabilities, unsupportedOption } from "./capabilities.ts";
import type { Connect, ConnectOptions, Socket } from "./socket.ts";
import { type AfterPoll, createTurnPoll } from "./turn_poll.ts";
import { nextTurn, systemClock } from "../clock.ts";

export { bindDuplex, fromDuplex } from "./node.ts";
export { emitWarning, nextTick } from "./process.ts";
export { fromStreams, type StreamPair } from "./web_streams.ts";

export {
  connect as connectStream,
  connectTls as connectTlsStream,
  openingEvent,
  wasReturned,
  withClose,
} from "./node_streams.ts";
export type { StreamCallback } from "./node_streams.ts";
export { StreamSessions } from "./node_stream_sessions.ts";
export type { AfterPoll } from "./turn_poll.ts";

/** The adapters' names, as in `info.adapter` and {@linkcode ConnectorOptions.runtime}. */
export const adapterNames: readonly AdapterName[] = ["deno", "bun", "node"];

/** An adapter's name. */
export type AdapterName = "node" | "deno" | "bun";

/** How {@linkcode createConnect} chooses. */
export interface ConnectorOptions {
  /** One adapter by name, or a `Connect` of the user's own, for every connect; default: chosen for each by its options. */
  readonly runtime?: AdapterName | Connect | undefined;
  /** TLS sessions that node:tls keeps for resumption; default: 100 that all connects of the process share. 0: none. */
  readonly maxCachedSessions?: number | undefined;
}

/** An adapter that this runtime has. */
export interface Adapter {
  /** What it honours. */
  readonly capabilities: Capabilities;
  /** The first option given, by name, that it does not honour. */
  readonly refuses: (options: ConnectOptions) => string | undefined;
  /** Its way to connect. */
  readonly connect: Connect;
}

/**
 * Makes a `Connect` over the adapters that this runtime has, or over the one that is asked for.
 *
 * The `Connect` throws a TypeError with the code ERR_UNSUPPORTED_OPTION, which names the option, where no adapter (or
 * not the one asked for) honours a binding option. `createConnect` itself throws it for the name of an adapter
 * that this runtime does not have. Sockets are opened outside of every asynchronous context, and so are their handlers called.
 *
 * @example
 * ```ts
 * import { createConnect } from "@holdfast/agent";
 *
 * const connect = createConnect();
 * const socket = connect({ host: "127.0.0.1", port: 8080 }, {
 *   onOpen: () => socket.write(new TextEncoder().encode("hello")),
 *   onData: (chunk) => console.log(chunk.length, "bytes"),
 *   onEnd: () => socket.end(),
 *   onDrain: () => {},
 *   onClose: (error) => console.log("closed", error?.code),
 * });
 * ```
 */
export function createConnect(options: ConnectorOptions = {}): Connect {
  const { runtime, maxCachedSessions } = options;
  if (typeof runtime === "function") return openOutside(runtime);
  const candidates = maxCachedSessions === undefined
    ? adapters()
    : findAdapters(createNodeConnect({ maxCachedSessions }));
  if (runtime !== undefined) return openOutside(named(candidates, runtime).connect);
  return openOutside((target, handler) => route(candidates, target).connect(target, handler));
}

/** The adapters of this runtime, fastest first. */
export function adapters(): readonly Adapter[] {
  return found ??= findAdapters(connectNode);
}

let found: readonly Adapter[] | undefined;

/** The adapter that a connect with these options goes to; throws TypeError ERR_UNSUPPORTED_OPTION if none honours them. */
export function adapterFor(options: ConnectOptions): Adapter {
  return route(adapters(), options);
}

/** The stream under a Socket of node:net or node:tls, to be shown and not used; undefined: it is another adapter's. */
export function streamOf(socket: Socket): ReturnType<typeof nodeStreamOf> {
  return nodeStreamOf(dialledSocket(socket));
}

/**
 * As {@linkcode streamOf}, and made where the Socket is connecting and has none yet. Undefined: the Socket is another adapter's,
 * or TLS has begun, or is to begin, on a connection that is not known yet.
 */
export function showStream(socket: Socket): ReturnType<typeof nodeStreamOf> {
  return nodeStreamOf(outside(() => shownSocket(socket)));
}

/**
 * The stream under a Socket of node:net or node:tls, for a user of streams; undefined: the Socket is another adapter's.
 * `fromDuplex` takes it back. Throws Error ERR_INVALID_STATE unless the socket is open and its peer has not ended.
 */
export function lendDuplex(socket: Socket): ReturnType<typeof lendNodeDuplex> {
  return lendNodeDuplex(dialledSocket(socket));
}

/** As {@linkcode lendDuplex}, for good: no listener of ours stays on the stream. The socket is open; its peer may have ended. */
export function returnDuplex(socket: Socket): ReturnType<typeof returnNodeDuplex> {
  return returnNodeDuplex(dialledSocket(socket));
}

/** Tells the process's owner of something that is no error: Node's process.emitWarning, which Deno and Bun have too. */
export function warn(message: string, code: string): void {
  const { process } = globalThis as { process?: { emitWarning?(message: string, options: object): void } };
  process?.emitWarning?.(message, { type: "Warning", code });
}

// Whoever opens a socket for a pool is not whoever it will serve: it must not keep the asynchronous context of its creator.
function openOutside(connect: Connect): Connect {
  return (given, handler) => {
    // Also before an adapter is chosen: that is by the values, too.
    const target = readConnectOptions(given);
    return outside(() => connect(target, handler));
  };
}

function named(candidates: readonly Adapter[], name: AdapterName): Adapter {
  if (!adapterNames.includes(name)) {
    throw argumentError("ERR_INVALID_ARG_VALUE", `Cannot use runtime "${name}": not one of ${adapterNames}`);
  }
  const adapter = candidates.find(({ capabilities }) => capabilities.adapter === name);
  if (adapter === undefined) throw unsupportedOptionError("runtime", name);
  return adapter;
}

function route(candidates: readonly Adapter[], target: ConnectOptions): Adapter {
  let refused: string | undefined;
  for (const adapter of candidates) {
    refused = adapter.refuses(target);
    if (refused === undefined) return adapter;
  }
  // The last one asked, which is node:net's.
  throw unsupportedOptionError(refused ?? "runtime", "node");
}

/** The globals by which the runtime is known. */
interface Globals {
  readonly Deno?: DenoLike & { readonly version?: { readonly deno?: string } } | undefined;
  readonly Bun?: BunLike & { readonly version?: string } | undefined;
  readonly process?: { readonly versions?: Readonly<Record<string, string | undefined>> };
}

function findAdapters(node: NodeConnect): Adapter[] {
  const result: Adapter[] = [];
  const { Deno, Bun } = genuine();
  // In the next turn, as Node's: a program may ask first and listen then (trap 20).
  if (Deno !== undefined) {
    result.push({
      capabilities: denoCapabilities,
      refuses: denoRefuses,
      connect: createDenoConnect(Deno, nextTurn),
    });
  }
  if (Bun !== undefined) {
    result.push({
      capabilities: { ...bunCapabilities, tellsLookup: true },
      refuses: bunRefuses,
      connect: dialledBun(createBunConnect(Bun, nextTurn)),
    });
  }
  result.push({ capabilities: nodeCapabilities, refuses: nodeRefuses, connect: dialled(node) });
  return result;
}

// Bun connects to all addresses of a name at once and closes all but one again: its server counts two where there is one.
function dialledBun(connect: Connect): Connect {
  return createDialer({ connect, capabilities: bunCapabilities, lookup: lookupNode, lookupHints });
}

// Deno races the addresses of a name itself, and gives up none before one has won; node:net does not (D16).
function dialled(connect: NodeConnect): Connect {
  return createDialer({
    connect,
    tellsTransport: true,
    capabilities: nodeCapabilities,
    lookup: lookupNode,
    lookupHints,
    hold: (options, handler, onReference) => holdNode(connect, options, handler, onReference),
    // Behind 'socket', at which users ask for the stream: its tick was asked for after the look-up.
    defer: (fn) => nextTick(() => nextTick(fn)),
  });
}

function nodeRefuses(options: ConnectOptions): string | undefined {
  return unsupportedOption(options, nodeCapabilities);
}

// The runtime's own process says who it is: @deno/shim-deno on Node defines Deno alone, and its sockets do not work.
function genuine(): Pick<Globals, "Deno" | "Bun"> {
  // dnt-shim-ignore
  const { Deno, Bun, process } = globalThis as unknown as Globals;
  const { deno, bun } = process?.versions ?? {};
  return {
    Deno: deno !== undefined && Deno?.version?.deno === deno ? Deno : undefined,
    Bun: bun !== undefined && Bun?.version === bun ? Bun : undefined,
  };
}

const { Deno, Bun } = genuine();

/** Waits for a poll of the event loop: whatever had come for a socket before the call has been told before `fn` is called. */
export const afterPoll: AfterPoll = Deno === undefined
  ? createTurnPoll(nextTurn, () => systemClock.now())
  : createDenoPoll(Deno as unknown as PairingDeno, systemClock);

/**
 * The runtime has a server that takes a Response, and sends what is inside of it, whatever its members say: so what is inside
 * has to be true. Elsewhere a Response is known by its members alone.
 */
export const servesResponses: boolean = Deno !== undefined || Bun !== undefined;

const contextSlot = Deno === undefined ? undefined : denoContextSlot(Deno);
if (contextSlot !== undefined) useContextSlot(contextSlot);
