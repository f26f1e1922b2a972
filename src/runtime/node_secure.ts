/**
 * TLS on a stream of Node's, for a NodeSocket.
 *
 * Owns the TLSSocket's beginnings: over which stream it runs, what it shows and tells of that stream where the runtime has it
 * show nothing, and that whatever fails on the way is the socket's failure. Who the peer has to be is node_tls.ts's; must not
 * know what a connect's options mean.
 *
 * @module
 */

import * as net from "node:net";
import type { Duplex } from "node:stream";
import * as tls from "node:tls";
import { connectsBeforeChecks, hidesTransport } from "./node_capabilities.ts";
import { Gate } from "./node_gate.ts";
import { infoOf, type Stages } from "./node_info.ts";
import type { NodeSocket } from "./node_socket.ts";
import { contextError, TlsAttempt, type TlsMemory } from "./node_tls.ts";
import type { TlsOptions } from "./socket.ts";

/**
 * What a handshake is to be; undefined: the key material cannot be used, which is a failed connect, as on runtimes that
 * look at it later.
 */
export function attemptOf(
  socket: NodeSocket,
  options: TlsOptions,
  host: string,
  port: string | number,
  memory: TlsMemory,
): TlsAttempt | undefined {
  try {
    return new TlsAttempt(options, host, port, memory);
  } catch (error) {
    socket.phase = "tls";
    socket.attach(new net.Socket(), "readable");
    socket.fail(contextError(error));
    return undefined;
  }
}

/**
 * Starts TLS over `reach`, which says how to get at the peer; returns the TLS stream. The socket opens when the peer is
 * verified, or fails.
 */
export function secure(
  socket: NodeSocket,
  attempt: TlsAttempt,
  reach: { readonly socket?: Duplex },
  read: "onread" | "readable" | Gate,
  stages: Stages,
  hints?: readonly string[],
): tls.TLSSocket {
  const stream = startTlsStream(socket, attempt, reach, read);
  attempt.watch(stream);
  if (read instanceof Gate) showTransport(stream, read.transport);
  const forget = (): void => attempt.failed();
  stream.once("close", forget);
  stream.once("secureConnect", () => {
    const refused = attempt.verify(stream);
    if (refused !== undefined) return socket.fail(refused);
    stream.off("close", forget);
    const transport = read instanceof Gate ? read.transport : stream;
    socket.open(infoOf(transport, hints, { tls: attempt.infoOf(stream), opening: stages.ended("tlsMs") }));
  });
  return stream;
}

/** The same through a gate; returns the stream under it. */
export function secureThroughGate(
  socket: NodeSocket,
  attempt: TlsAttempt,
  gate: Gate,
  stages: Stages,
  hints?: readonly string[],
): net.Socket {
  secure(socket, attempt, { socket: gate }, gate, stages, hints);
  return gate.raw;
}

/** The same over a stream that is connecting; returns that. */
export function secureOver(
  socket: NodeSocket,
  attempt: TlsAttempt,
  raw: net.Socket,
  stages: Stages,
  hints?: readonly string[],
): net.Socket {
  const stream = secure(socket, attempt, { socket: raw }, "readable", stages, hints);
  passEvents(raw, stream);
  passReferences(raw, stream);
  return raw;
}

/**
 * To be called at 'connect', before the handshake, of a TLSSocket that has been given another handle: with its own it has
 * lost what it is to say, and that somebody listens.
 */
export function renew(stream: tls.TLSSocket, attempt: TlsAttempt): void {
  attempt.say(stream);
  const ignore = (): void => {};
  for (const event of ["session", "keylog"]) {
    if (stream.listenerCount(event) > 0) stream.on(event, ignore).off(event, ignore);
  }
}

const ADDRESSES = [
  "remoteAddress",
  "remotePort",
  "remoteFamily",
  "localAddress",
  "localPort",
  "localFamily",
] as const;

// A TLSSocket over a stream that the system does not know has no addresses of its own, and does not say that it connects.
function showTransport(stream: tls.TLSSocket, transport: net.Socket): void {
  for (const name of ADDRESSES) {
    Object.defineProperty(stream, name, { get: () => transport[name], configurable: true, enumerable: true });
  }
  stream.address = () => transport.address();
  passReferences(transport, stream);
  if (!transport.connecting) return;
  const get = (): boolean => transport.connecting;
  Object.defineProperty(stream, "connecting", { get, set: () => {}, configurable: true, enumerable: true });
  passEvents(transport, stream);
}

function passReferences(from: net.Socket, to: tls.TLSSocket): void {
  for (const name of ["ref", "unref"] as const) {
    const own = to[name];
    to[name] = () => {
      // Bun's TLSSocket has the other one's handle as soon as that is connected.
      if (from.connecting || hidesTransport) from[name]();
      return own.call(to);
    };
  }
}

// What a TLSSocket over another stream does not tell of that by itself.
function passEvents(from: net.Socket, to: net.Socket): void {
  const events = ["lookup", "connectionAttempt", "connectionAttemptFailed", "ready"];
  if (hidesTransport) events.push("connect");
  for (const event of events) from.on(event, (...args: unknown[]) => to.emit(event, ...args));
}

// Whatever throws on the way, no stream is left that nobody has.
function startTlsStream(
  socket: NodeSocket,
  attempt: TlsAttempt,
  reach: { readonly socket?: Duplex },
  read: "onread" | "readable" | Gate,
): tls.TLSSocket {
  const isSaidLater = connectsBeforeChecks && reach.socket === undefined;
  const options = { ...reach, ...attempt.settings, ...(isSaidLater ? { servername: "" } : attempt.hello) };
  let stream: tls.TLSSocket;
  try {
    stream = tls.connect(options as tls.ConnectionOptions);
  } catch (error) {
    reach.socket?.destroy();
    throw error;
  }
  socket.attach(stream, read);
  if (!isSaidLater) return stream;
  try {
    attempt.say(stream);
  } catch (error) {
    socket.fail(error);
  }
  return stream;
}
