/**
 * Node's own two ways to make a stream, as the default bodies of an agent's `createConnection`.
 *
 * Owns the reading of the signatures of `net.createConnection` and `https.Agent`'s, and nothing of what the options mean:
 * they go to node:net and node:tls as they are. Must not know a pool or a request.
 *
 * Strategy: real net.Sockets on every runtime that has node:net, so that what users do with one works. They become
 * Sockets of the contract by `fromDuplex`. What node:tls would refuse when it has begun to connect is refused before, or it
 * would leave a stream that nobody has.
 *
 * @module
 */

import * as net from "node:net";
import type { Duplex } from "node:stream";
import * as tls from "node:tls";
import { argumentError } from "./errors.ts";
import type { StreamSessions } from "./node_stream_sessions.ts";

/** Streams that were returned, and that a callback brings. */
const returned = new WeakSet<object>();

/** Called once: with the stream when it is connected, or with why it is not. */
export type StreamCallback = (error: Error | null, stream?: net.Socket) => void;

/**
 * Node's `net.createConnection`: `(options[, callback])`, `(port[, host][, callback])`, `(path[, callback])`.
 *
 * Differs from Node: the callback is called with an error, too, as the agent's documentation has it.
 */
export function connect(...args: unknown[]): net.Socket {
  const stream = net.connect(netOptions(args));
  return calledBack(stream, "connect", callbackOf(args));
}

/**
 * `https.Agent`'s createConnection: `(options[, callback])`, `(port[, host][, options][, callback])`.
 *
 * Differs from Node: as {@linkcode connect}; the callback waits for the end of the handshake.
 *
 * @param sessions those of the agent whose method it is; without one none is resumed but the user's own
 */
export function connectTls(args: readonly unknown[], sessions?: StreamSessions): tls.TLSSocket {
  const options = tlsOptions(args);
  checkHello(options);
  const stream = sessions === undefined ? tls.connect(options) : sessions.connect(options);
  return calledBack(stream, "secureConnect", callbackOf(args));
}

/** A default `createConnection` has returned the stream to who called it with a callback. */
export function wasReturned(stream: object): boolean {
  return returned.has(stream);
}

/** The event after which a stream can carry a request; undefined: it can already. */
export function openingEvent(stream: object): "connect" | "secureConnect" | undefined {
  const { encrypted, secureConnecting, connecting } = stream as Partial<tls.TLSSocket> & {
    secureConnecting?: boolean;
  };
  if (encrypted === true && secureConnecting === true) return "secureConnect";
  return connecting === true ? "connect" : undefined;
}

/** What Node's streams and those of readable-stream keep of each half. */
interface HalfState {
  emitClose?: boolean;
}

/**
 * Has a Duplex that was made with `emitClose: false` tell all the same that it is gone: nothing else of it does. A net.Socket is
 * made so, and tells it by itself.
 */
export function withClose(stream: Duplex): Duplex {
  if (stream instanceof net.Socket) return stream;
  const { _readableState, _writableState } = stream as {
    _readableState?: HalfState;
    _writableState?: HalfState;
  };
  for (const state of [_readableState, _writableState]) {
    if (state?.emitClose === false) state.emitClose = true;
  }
  return stream;
}

function calledBack<Stream extends net.Socket>(
  stream: Stream,
  event: "connect" | "secureConnect",
  callback: StreamCallback | undefined,
): Stream {
  if (callback === undefined) return stream;
  returned.add(stream);
  const succeed = (): void => {
    stream.off("error", fail);
    callback(null, stream);
  };
  const fail = (error: Error): void => {
    stream.off(event, succeed);
    callback(error);
  };
  stream.once(event, succeed);
  stream.once("error", fail);
  return stream;
}

function callbackOf(args: readonly unknown[]): StreamCallback | undefined {
  const last = args.at(-1);
  return typeof last === "function" ? last as StreamCallback : undefined;
}

function netOptions([first, second]: readonly unknown[]): net.NetConnectOpts {
  if (typeof first === "object" && first !== null) return first as net.NetConnectOpts;
  // A string that is no number is a path, as in Node.
  if (typeof first === "string" && !/^\d+$/.test(first)) return { path: first };
  const host = typeof second === "string" ? { host: second } : {};
  return { port: Number(first), ...host };
}

function tlsOptions(args: readonly unknown[]): tls.ConnectionOptions {
  const options = args.find((one) => typeof one === "object" && one !== null) as tls.ConnectionOptions;
  if (options === args[0]) return options;
  return {
    ...options,
    ...typeof args[0] === "number" ? { port: args[0] } : {},
    ...typeof args[1] === "string" ? { host: args[1] } : {},
  };
}

/** ERR_INVALID_ARG_TYPE for a name or a session of which node:tls says so when the connection is under way. */
function checkHello({ servername, session }: { servername?: unknown; session?: unknown }): void {
  if (servername && typeof servername !== "string") throw invalidType("servername", "string", servername);
  if (session && typeof session !== "string" && !ArrayBuffer.isView(session)) {
    throw invalidType("session", "string or an instance of Buffer, TypedArray, or DataView", session);
  }
}

function invalidType(name: string, expected: string, received: unknown): Error {
  return argumentError(
    "ERR_INVALID_ARG_TYPE",
    `The "options.${name}" property must be of type ${expected}. Received type ${typeof received}`,
  );
}
