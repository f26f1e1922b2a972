/**
 * The adapter over node:net and node:tls; it loads on Node, Deno and Bun.
 *
 * Owns how a connection is made: options translated, TLS verified, capability table. Reading, writing and order of events
 * are node_socket.ts's. Knows no HTTP.
 *
 * @module
 */

import * as net from "node:net";
import type { Duplex } from "node:stream";
import * as tls from "node:tls";
import { argumentError, unsupportedOptionError } from "./errors.ts";
import { NodeSocket } from "./node_socket.ts";
import { nodeCapabilities } from "./node_capabilities.ts";
import {
  type Connect,
  type ConnectOptions,
  type Socket,
  type SocketHandler,
  type SocketInfo,
  type TlsInfo,
  type TlsOptions,
  unsupportedOption,
} from "./socket.ts";

export { nodeCapabilities };

// One buffer for all sockets: the system reads into it and `onData` is called before anything else can read.
const sharedReadBuffer = new Uint8Array(64 * 1024);

/** Connects over node:net or, with `options.tls`, node:tls. */
export const connectNode: Connect = (options: ConnectOptions, handler: SocketHandler): Socket => {
  const refused = unsupportedOption(options, nodeCapabilities);
  if (refused !== undefined) throw unsupportedOptionError(refused, nodeCapabilities.adapter);
  checkPort(options.port);
  const socket = new NodeSocket(handler);
  socket.peer = options.path === undefined
    ? { address: options.host ?? "localhost", port: options.port }
    : { address: options.path };
  const stream = options.tls === undefined
    ? net.connect(netOptions(options, socket))
    : tls.connect(tlsConnectOptions(options, options.tls, socket));
  socket.attach(stream, false);
  stream.once("connect", () => {
    stream.setNoDelay(options.noDelay ?? true);
    if (options.tls === undefined) socket.open(infoOf(stream, undefined));
    else socket.phase = "tls";
  });
  stream.once("secureConnect", () => socket.open(infoOf(stream, tlsInfoOf(stream as tls.TLSSocket))));
  return socket;
};

/**
 * A Socket over a stream that is connected already, or is connecting: net.Socket, TLSSocket or any Duplex, as a
 * `createConnection` returns it. The stream belongs to the Socket from here on. `onOpen` follows, never inside the call.
 */
export function fromDuplex(stream: Duplex, handler: SocketHandler): Socket {
  const socket = new NodeSocket(handler);
  socket.attach(stream, true);
  const open = (): void => socket.open(duplexInfoOf(stream));
  const isTls = stream instanceof tls.TLSSocket;
  if (isTls && !hasSecured(stream)) stream.once("secureConnect", open);
  else if ((stream as Partial<net.Socket>).connecting === true) stream.once("connect", open);
  else queueMicrotask(open);
  return socket;
}

// A TLSSocket has its protocol from the handshake on.
function hasSecured(stream: tls.TLSSocket): boolean {
  return !stream.connecting && stream.getProtocol() !== null && stream.getCipher()?.name !== undefined;
}

function duplexInfoOf(stream: Duplex): SocketInfo {
  if (stream instanceof tls.TLSSocket) return infoOf(stream, tlsInfoOf(stream));
  return stream instanceof net.Socket ? infoOf(stream, undefined) : { adapter: "duplex" };
}

function checkPort(port: number | undefined): void {
  if (port === undefined || (Number.isInteger(port) && port >= 0 && port <= 65535)) return;
  throw argumentError("ERR_SOCKET_BAD_PORT", `Cannot connect to port "${port}": not 0 to 65535`, RangeError);
}

function netOptions(options: ConnectOptions, socket: NodeSocket): net.NetConnectOpts {
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
  return {
    ...common,
    host: options.host ?? "localhost",
    port: options.port ?? 0,
    family: options.family ?? 0,
    hints: options.hints ?? 0,
    ...given("lookup", options.lookup),
    ...given("localAddress", options.localAddress),
    ...given("localPort", options.localPort),
    ...given("autoSelectFamily", options.autoSelectFamily),
    ...given("autoSelectFamilyAttemptTimeout", options.autoSelectFamilyAttemptTimeoutMs),
  } as net.NetConnectOpts;
}

function given(name: string, value: unknown): Record<string, unknown> {
  return value === undefined ? {} : { [name]: value };
}

function tlsConnectOptions(
  options: ConnectOptions,
  tlsOptions: TlsOptions,
  socket: NodeSocket,
): tls.ConnectionOptions {
  const host = options.host ?? "localhost";
  const servername = tlsOptions.servername ?? (net.isIP(host) === 0 ? host : "");
  return {
    ...definedOf(tlsOptions),
    ...netOptions(options, socket),
    host,
    servername,
    rejectUnauthorized: tlsOptions.rejectUnauthorized ?? true,
  } as tls.ConnectionOptions;
}

function definedOf(options: TlsOptions): Record<string, unknown> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined));
}

function infoOf(stream: net.Socket, tlsInfo: TlsInfo | undefined): SocketInfo {
  const family = stream.remoteFamily;
  return {
    adapter: nodeCapabilities.adapter,
    localAddress: stream.localAddress,
    localPort: stream.localPort,
    remoteAddress: stream.remoteAddress,
    remotePort: stream.remotePort,
    remoteFamily: family === "IPv6" ? 6 : family === "IPv4" ? 4 : undefined,
    tls: tlsInfo,
  };
}

function tlsInfoOf(stream: tls.TLSSocket): TlsInfo {
  return {
    alpnProtocol: stream.alpnProtocol || undefined,
    authorized: stream.authorized,
    authorizationError: stream.authorized ? undefined : String(stream.authorizationError),
    resumed: stream.isSessionReused(),
    protocol: stream.getProtocol() ?? undefined,
  };
}
