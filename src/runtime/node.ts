/**
 * The adapter over node:net and node:tls; it loads on Node, Deno and Bun.
 *
 * Owns how a connection is made, and which Socket a stream of others' is. Reading, writing and the order of events are
 * node_socket.ts's, the start of TLS is node_secure.ts's, the peer's identity node_tls.ts's; what differs between runtimes is
 * in node_capabilities.ts. Knows no HTTP.
 *
 * @module
 */

import * as dns from "node:dns";
import * as net from "node:net";
import type { Duplex } from "node:stream";
import * as tls from "node:tls";
import { callLookup, lookupAddresses, readConnectOptions } from "./connect_options.ts";
import { assertHonoured, type Peer, peerOf } from "./errors.ts";
import { bindDuplex, takeBack } from "./node_bindings.ts";
import { handlesConnect, lentOutlastsCall, nodeCapabilities, tlsNeedsGate } from "./node_capabilities.ts";
import { Gate } from "./node_gate.ts";
import { infoOf, peerOfStream, Stages } from "./node_info.ts";
import { attemptOf, renew, secure, secureOver, secureThroughGate } from "./node_secure.ts";
import { NodeSocket, type ReadStyle } from "./node_socket.ts";
import { assertTlsOptions, createTlsMemory, type TlsMemory } from "./node_tls.ts";
import { ignoredHints, unsupportedOption } from "./capabilities.ts";
import type {
  ConnectOptions,
  LookupAddress,
  LookupFunction,
  Socket,
  SocketHandler,
  StartTlsOptions,
  TlsOptions,
} from "./socket.ts";
import { readStartTls } from "./start_tls.ts";

export { bindDuplex, nodeCapabilities };

/** Settings of {@linkcode createNodeConnect}. */
export interface NodeConnectSettings {
  /** TLS sessions kept for resumption, one per peer and option set; default 100, as Node's; 0: none. */
  readonly maxCachedSessions?: number | undefined;
}

/**
 * A `Connect` that also calls `onTransport`, once, when a connection is there and TLS begins on it. `isHeld`: the stream that
 * connects may be given another's connection (node_held.ts).
 */
export type NodeConnect = (
  options: ConnectOptions,
  handler: SocketHandler,
  onTransport?: () => void,
  isHeld?: boolean,
) => Socket;

/** Makes a `Connect` over node:net and node:tls with its own TLS sessions. */
export function createNodeConnect(settings: NodeConnectSettings = {}): NodeConnect {
  const memory = createTlsMemory(settings.maxCachedSessions);
  return (options, handler, onTransport, isHeld) => connect(options, handler, memory, onTransport, isHeld);
}

const sharedMemory: TlsMemory = createTlsMemory();

/** Connects over node:net or, with `options.tls`, node:tls. Its TLS sessions are the process's. */
export const connectNode: NodeConnect = (options, handler, onTransport, isHeld) =>
  connect(options, handler, sharedMemory, onTransport, isHeld);

/** What node:net gives a look-up where nothing is asked for: addresses of the families alone that this machine has one of. */
export const lookupHints: number = dns.ADDRCONFIG;

/** The system's resolver, getaddrinfo: what a `lookup` option replaces. */
export const lookupNode: LookupFunction = (hostname, options, callback): void => {
  dns.lookup(hostname, options as dns.LookupAllOptions, callback as never);
};

/**
 * A Socket over a stream that is connected already, or is connecting: net.Socket, TLSSocket or any Duplex of bytes, as a
 * `createConnection` returns it. The stream belongs to the Socket from here on, and `onOpen` follows; at once for a mock, a
 * net.Socket that says it is connecting and has nothing that connects. A stream that stands
 * for a Socket already ({@linkcode lendDuplex}, {@linkcode bindDuplex}) gives that one back: it is open, and `onOpen` is
 * not told again.
 *
 * @example
 * ```ts
 * import { type Connect, fromDuplex } from "@holdfast/agent";
 * import { connect as connectNet } from "node:net";
 *
 * const connect: Connect = ({ host, port = 0 }, handler) => fromDuplex(connectNet({ host, port }), handler);
 * ```
 */
export function fromDuplex(stream: Duplex, handler: SocketHandler): Socket {
  const taken = takeBack(stream, handler);
  if (taken !== undefined) return taken;
  const socket = new ConnectedSocket(handler, peerOfStream(stream), sharedMemory);
  socket.attach(stream, readStyleOf(stream));
  const open = (): void => socket.open(infoOf(stream));
  if (stream instanceof tls.TLSSocket && !isSecured(stream)) stream.once("secureConnect", open);
  else if (isDialling(stream)) stream.once("connect", open);
  else queueMicrotask(open);
  return socket;
}

/**
 * The stream under a Socket of this adapter, for a user of streams; undefined: the Socket is another adapter's. Until
 * {@linkcode fromDuplex} takes it back the stream is its user's, and of the Socket's handler only `onClose` is called.
 * Throws Error ERR_INVALID_STATE unless the socket is open and its peer has not ended.
 */
export function lendDuplex(socket: Socket): Duplex | undefined {
  return socket instanceof NodeSocket ? socket.lend() : undefined;
}

/**
 * As {@linkcode lendDuplex}, for good: nothing of the Socket's handler is called any more, and the stream is as if it had
 * never had a Socket. The socket has to be open; its peer may have ended.
 */
export function returnDuplex(socket: Socket): Duplex | undefined {
  return socket instanceof NodeSocket ? socket.giveAway() : undefined;
}

/** The stream under a Socket of this adapter, to be shown and not used; undefined: the Socket is another adapter's. */
export function streamOf(socket: Socket): Duplex | undefined {
  return socket instanceof NodeSocket ? socket.stream : undefined;
}

/** The stream that connects for a Socket that a {@linkcode NodeConnect} has made; undefined: there is none. */
export function transportOf(socket: Socket): net.Socket | undefined {
  return socket instanceof ConnectedSocket ? socket.connects : undefined;
}

/** A NodeSocket that can start TLS. */
class ConnectedSocket extends NodeSocket {
  /** The stream that makes the connection: its own, or the one under that. */
  connects: net.Socket | undefined;
  readonly #memory: TlsMemory;

  constructor(handler: SocketHandler, peer: Peer, memory: TlsMemory) {
    super(handler, peer);
    this.#memory = memory;
  }

  startTls(asked: StartTlsOptions, handler: SocketHandler): Socket {
    const options = readStartTls(asked, nodeCapabilities);
    assertTlsOptions(options);
    const raw = this.release();
    const socket = new ConnectedSocket(handler, { address: options.host, port: options.port }, this.#memory);
    socket.phase = "tls";
    const attempt = attemptOf(socket, options, options.host, options.port ?? 0, this.#memory);
    if (attempt === undefined) raw.destroy();
    else if (tlsNeedsGate) {
      secureThroughGate(socket, attempt, new Gate(raw as net.Socket, this.gate), new Stages());
    } else secure(socket, attempt, { socket: raw }, "readable", new Stages());
    return socket;
  }
}

function connect(
  asked: ConnectOptions,
  handler: SocketHandler,
  memory: TlsMemory,
  onTransport: (() => void) | undefined,
  isHeld: boolean = false,
): Socket {
  const options = readConnectOptions(asked);
  assertHonoured(unsupportedOption(options, nodeCapabilities), nodeCapabilities.adapter);
  const socket = new ConnectedSocket(handler, peerOf(options), memory);
  const hints = ignoredHints(options, nodeCapabilities);
  const stages = new Stages();
  const { tls: tlsOptions, noDelay = true } = options;
  const stream = tlsOptions === undefined
    ? connectPlain(socket, options, stages)
    : connectTls(socket, options, tlsOptions, memory, stages, hints, isHeld);
  if (stream === undefined) return socket;
  socket.connects = stream;
  stages.watch(stream, options);
  stream.once("connect", () => {
    stream.setNoDelay(noDelay);
    if (tlsOptions === undefined) {
      return socket.open(infoOf(stream, hints, { opening: stages.ended(), lentOutlastsCall }));
    }
    socket.phase = "tls";
    onTransport?.();
  });
  return socket;
}

function connectPlain(socket: NodeSocket, options: ConnectOptions, stages: Stages): net.Socket {
  const stream = net.connect(netOptions(options, socket, stages));
  socket.attach(stream, "onread");
  return stream;
}

// The stream that makes the connection; undefined: the socket has failed already.
function connectTls(
  socket: NodeSocket,
  options: ConnectOptions,
  tlsOptions: TlsOptions,
  memory: TlsMemory,
  stages: Stages,
  hints: readonly string[] | undefined,
  isHeld: boolean,
): net.Socket | undefined {
  assertTlsOptions(tlsOptions);
  const { host = "localhost", port = 0, path = port } = options;
  const attempt = attemptOf(socket, tlsOptions, host, path, memory);
  if (attempt === undefined) return undefined;
  const reach = netOptions(options, socket, stages) as object;
  if (tlsNeedsGate) {
    return secureThroughGate(socket, attempt, new Gate(connectUnder(reach, isHeld)), stages, hints);
  }
  if (isHeld && !handlesConnect) {
    return secureOver(socket, attempt, connectUnder(reach, false), stages, hints);
  }
  const stream = secure(socket, attempt, reach, "onread", stages, hints);
  if (isHeld) stream.prependOnceListener("connect", () => renew(stream, attempt));
  return stream;
}

/** A stream that connects, to be read by TLS. A handle that reads into the common buffer may become its own (`isHeld`). */
function connectUnder(reach: object, isHeld: boolean): net.Socket {
  const callback = (bytes: number, buffer: Uint8Array): boolean => stream.push(buffer.slice(0, bytes));
  const onread = isHeld ? { buffer: sharedReadBuffer, callback } : undefined;
  const stream = net.connect({ ...reach, onread } as never);
  return stream;
}

// One buffer for all sockets: the system reads into it, and `onData` has returned before anything else can read. Larger than
// what a server writes at once, a body of 64 KiB with its head say: a read that fills it is followed by another for the rest.
const sharedReadBuffer = new Uint8Array(128 * 1024);

function netOptions(options: ConnectOptions, socket: NodeSocket, stages: Stages): net.NetConnectOpts {
  const common = {
    allowHalfOpen: true,
    noDelay: options.noDelay ?? true,
    keepAlive: options.keepAlive ?? false,
    keepAliveInitialDelay: options.keepAliveInitialDelayMs ?? 0,
    onread: {
      buffer: sharedReadBuffer,
      callback: (bytes: number, buffer: Uint8Array): boolean => socket.onRead(buffer.subarray(0, bytes)),
    },
  };
  if (options.path !== undefined) return { ...common, path: options.path } as net.NetConnectOpts;
  const { lookup } = options;
  return {
    ...common,
    host: options.host ?? "localhost",
    port: options.port,
    ...given("family", options.family),
    ...given("hints", options.hints),
    ...given("lookup", lookup && marked(lookup, socket, stages)),
    ...given("localAddress", options.localAddress),
    ...given("localPort", options.localPort),
    ...given("autoSelectFamily", options.autoSelectFamily),
    ...given("autoSelectFamilyAttemptTimeout", options.autoSelectFamilyAttemptTimeoutMs),
  } as net.NetConnectOpts;
}

function given(name: string, value: unknown): Record<string, unknown> {
  return value === undefined ? {} : { [name]: value };
}

// What a user's look-up fails with, thrown or told, is the connect's error in the phase "lookup".
function marked(lookup: LookupFunction, socket: NodeSocket, stages: Stages): LookupFunction {
  return (hostname, options, callback) => {
    const fail = (error: unknown): void => {
      socket.phase = "lookup";
      callback(error instanceof Error ? error : new Error(String(error)));
    };
    const answer = (error: unknown, found: unknown): void => {
      if (error) return fail(error);
      stages.lookedUp();
      let addresses: LookupAddress[];
      // At some answers node:net would throw, where nobody can catch it; at none of many, too.
      try {
        addresses = lookupAddresses(Array.isArray(found) && found.length === 0 ? undefined : found);
      } catch (refusal) {
        return fail(refusal);
      }
      if (options.all === true) callback(null, addresses);
      else callback(null, addresses[0]!.address, addresses[0]!.family);
    };
    callLookup(lookup, hostname, options, answer);
  };
}

// What connects a net.Socket is its handle. One that has none and says that it is connecting is a mock, which says 'connect'
// once it is written to; Node's client writes at once. From then on no limit of connecting holds for it.
function isDialling(stream: Duplex): boolean {
  const { connecting, _handle } = stream as { connecting?: boolean; _handle?: object | null };
  return connecting === true && !(stream instanceof net.Socket && _handle === null);
}

// Another's TLSSocket has no gate: where it may not be stopped, what comes while paused is kept, however much it is.
function readStyleOf(stream: Duplex): ReadStyle {
  return tlsNeedsGate && stream instanceof tls.TLSSocket ? "flowing" : "readable";
}

function isSecured(stream: tls.TLSSocket): boolean {
  return (stream as { secureConnecting?: boolean }).secureConnecting === false;
}
