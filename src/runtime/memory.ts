/**
 * A network in memory, with faults: for the tests of this library and for those of its users.
 *
 * Owns addresses, listeners and the making of connections. Must not know HTTP nor any runtime. Strategy: no real
 * input or output and no time but the clock's, so that every run is the same; the client's side is an ordinary
 * {@linkcode Connect}, the server's side a {@linkcode MemoryPeer} that a test scripts line by line.
 *
 * @module
 */

import { systemClock } from "../clock.ts";
import type { Clock } from "../clock.ts";
import { readTlsOptions } from "./connect_options.ts";
import { assertHonoured, checkPort, SocketError } from "./errors.ts";
import { MemoryClient } from "./memory_client.ts";
import { MemoryPeer } from "./memory_peer.ts";
import { MemorySocket } from "./memory_socket.ts";
import type { Link, LinkOptions } from "./memory_socket.ts";
import { clientRole, MemoryTlsSocket } from "./memory_tls.ts";
import type { MemoryTlsOptions, ServerRole } from "./memory_tls.ts";
import { unsupportedOption } from "./capabilities.ts";
import { isAddress } from "./addresses.ts";
import type { Capabilities, TlsOption } from "./capabilities.ts";
import type { Connect, ConnectOptions, Socket, SocketHandler, SocketInfo } from "./socket.ts";

const tlsOptions: ReadonlySet<TlsOption> = new Set<TlsOption>(
  [
    "ca",
    "cert",
    "key",
    "passphrase",
    "pfx",
    "servername",
    "ALPNProtocols",
    "rejectUnauthorized",
    "checkServerIdentity",
  ],
);

/** What the memory network honours. The key material is only text there: a certificate is shown where `cert` or `pfx` is given. */
export const memoryCapabilities: Capabilities = {
  adapter: "memory",
  options: new Set(["path"] as const),
  tlsOptions,
  startTlsOptions: tlsOptions,
  hints: new Set(["noDelay", "keepAlive", "keepAliveInitialDelayMs"] as const),
  cancelsConnect: true,
  cancelsHandshake: true,
  halfClose: true,
  startTls: true,
  tlsInTls: true,
  tlsOverPath: true,
  seesCloseNotify: true,
  resumesSessions: false,
  ref: true,
  unrefsConnect: true,
  // FIN and RST keep their place behind the data, also where there is none: the stricter of what was measured.
  seesCloseWhilePaused: false,
  keepsDataBeforeReset: true,
  resetAfterPauseLooksClean: false,
  tlsResetLooksClean: false,
  reportsExpiredWithCa: true,
  reportsSelfSigned: true,
  reportsUnreachable: true,
  reportsLocalAddress: true,
  choosesTls13Ciphers: true,
  acceptsCommonName: true,
  tellsOpening: true,
  // There is no look-up that could take time.
  tellsLookup: false,
};

/** Options of a {@linkcode MemoryNetwork}. */
export interface MemoryNetworkOptions extends LinkOptions {
  /** Orders all events; default the system's clock. A `ManualClock` makes every run the same. */
  readonly clock?: Clock | undefined;
}

/** How a listener's connections behave, where other than the network's. */
export interface MemoryListenOptions extends LinkOptions {
  /** Given: it speaks TLS. */
  readonly tls?: MemoryTlsOptions | undefined;
  /** Called when a connection stands and TLS has not begun: the place of faults during the handshake. */
  readonly onAccept?: ((wire: MemorySocket) => void) | undefined;
}

/** Where a listener or a fault is. */
export interface MemoryAddress {
  /** Name or address as clients dial it; undefined: every host. */
  readonly host?: string | undefined;
  /** Port; undefined: every port. */
  readonly port?: number | undefined;
  /** A unix socket's path, in the place of host and port. */
  readonly path?: string | undefined;
}

/** Called for each connection; what it throws or rejects with is the process's. */
export type MemoryConnectionHandler = (peer: MemoryPeer) => void | Promise<void>;

/** A listening address. */
export interface MemoryListener {
  /** How many connections it has accepted. */
  readonly accepted: number;
  /** The peers that are still open. */
  readonly peers: ReadonlySet<MemoryPeer>;
  /** Connects are refused from now on; open connections stay. */
  close(): void;
}

interface Place {
  readonly address: MemoryAddress;
  readonly answer: "hang" | string | Listener;
}

class Listener implements MemoryListener {
  accepted = 0;
  readonly peers: Set<MemoryPeer> = new Set();
  readonly onConnection: MemoryConnectionHandler;
  readonly options: MemoryListenOptions;
  readonly #close: () => void;

  constructor(onConnection: MemoryConnectionHandler, options: MemoryListenOptions, close: () => void) {
    this.onConnection = onConnection;
    this.options = options;
    this.#close = close;
  }

  close(): void {
    this.#close();
  }
}

/**
 * Listeners, connections and faults, in memory.
 *
 * @example
 * ```ts
 * import { Agent } from "@holdfast/agent";
 * import { ManualClock, MemoryNetwork } from "@holdfast/agent/testing";
 *
 * const network = new MemoryNetwork({ clock: new ManualClock() });
 * network.listen({ host: "a.example", port: 80 }, async (peer) => {
 *   await peer.readUntil("\r\n\r\n");
 *   peer.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
 * });
 * const agent = new Agent({ runtime: network.connect });
 * ```
 */
export class MemoryNetwork {
  readonly #clock: Clock;
  readonly #link: LinkOptions;
  readonly #sockets: Set<MemorySocket> = new Set();
  // The newest first: a later listen() or fault() hides an earlier one.
  #places: Place[] = [];
  #lastPort = 49_151;
  #connects = 0;

  /** A network without listeners: every connect is refused. */
  constructor(options: MemoryNetworkOptions = {}) {
    const { clock = systemClock, ...link } = options;
    this.#clock = clock;
    this.#link = link;
  }

  /** The clients' sockets that are not closed, connecting ones included: empty when nothing leaks. */
  get sockets(): ReadonlySet<MemorySocket> {
    return this.#sockets;
  }

  /** How many connects there were. */
  get connects(): number {
    return this.#connects;
  }

  /** A client's socket that is referenced is open: on a real network it would hold the process. */
  get holdsProcess(): boolean {
    for (const socket of this.#sockets) if (socket.isReferenced) return true;
    return false;
  }

  /** The network as a {@linkcode Connect}; bound, so it can be handed on as it is. */
  readonly connect: Connect = (given: ConnectOptions, handler: SocketHandler): Socket => {
    const options = given.tls === undefined ? given : { ...given, tls: readTlsOptions(given.tls) };
    assertHonoured(unsupportedOption(options, memoryCapabilities), memoryCapabilities.adapter);
    checkPort(options.port);
    return this.#dial(options, handler);
  };

  /**
   * Accepts connections at an address. `onConnection` is called when a connection stands: with `tls`, after the
   * handshake, so a client that refuses the certificate never gets that far.
   */
  listen(
    address: MemoryAddress,
    onConnection: MemoryConnectionHandler,
    options: MemoryListenOptions = {},
  ): MemoryListener {
    const listener: Listener = new Listener(onConnection, { ...this.#link, ...options }, () => {
      this.#places = this.#places.filter((place) => place.answer !== listener);
    });
    this.#places.unshift({ address, answer: listener });
    return listener;
  }

  /**
   * Connects to an address fail with `code` ("ECONNREFUSED", "EHOSTUNREACH", "ENOTFOUND"...), or never settle
   * (`"hang"`), until the function returned is called.
   */
  fault(address: MemoryAddress, code: "hang" | string): () => void {
    const place: Place = { address, answer: code };
    this.#places.unshift(place);
    return () => {
      this.#places = this.#places.filter((other) => other !== place);
    };
  }

  #dial(options: ConnectOptions, handler: SocketHandler): Socket {
    this.#connects++;
    const link: Link = { clock: this.#clock, options: this.#link, isCut: false };
    const wire = new MemorySocket(link, handler);
    this.#sockets.add(wire);
    wire.onGone = () => this.#sockets.delete(wire);
    const answer = this.#answer(options);
    if (answer instanceof Listener) this.#accept(wire, answer, options);
    else if (answer !== "hang") {
      this.#after(isLookup(answer) ? 0 : 2 * latencyMs(link), () => wire.fail(connectError(answer, options)));
    }
    return new MemoryClient(this.#clientSide(wire, options, handler), memoryCapabilities, this.#clock);
  }

  #clientSide(
    wire: MemorySocket,
    { tls, host = "localhost" }: ConnectOptions,
    handler: SocketHandler,
  ): MemorySocket | MemoryTlsSocket {
    return tls === undefined ? wire : new MemoryTlsSocket(wire, clientRole(tls, host), this.#clock, handler);
  }

  #accept(client: MemorySocket, listener: Listener, options: ConnectOptions): void {
    const { link } = client;
    link.options = listener.options;
    const startedMs = this.#clock.now();
    this.#after(latencyMs(link), () => {
      if (client.destroyed) return;
      client.info = clientInfo(options, ++this.#lastPort);
      const server = new MemorySocket(link, mute);
      server.join(client);
      this.#after(latencyMs(link), () => {
        client.info = { ...client.info!, opening: { connectMs: this.#clock.now() - startedMs } };
        client.open();
      });
      server.open();
      this.#serve(server, listener, options);
    });
  }

  #serve(wire: MemorySocket, listener: Listener, options: ConnectOptions): void {
    const connected = (socket: MemorySocket | MemoryTlsSocket): void => {
      const peer = new MemoryPeer(wire, socket, options);
      listener.accepted++;
      listener.peers.add(peer);
      wire.onGone = () => listener.peers.delete(peer);
      void listener.onConnection(peer);
    };
    const { tls, onAccept } = listener.options;
    onAccept?.(wire);
    if (tls === undefined) return connected(wire);
    const role: ServerRole = { side: "server", options: tls };
    const socket = new MemoryTlsSocket(wire, role, this.#clock, { ...mute, onOpen: () => connected(socket) });
  }

  #answer(options: ConnectOptions): Listener | "hang" | string {
    const place = this.#places.find(({ address }) => matches(address, options));
    if (place !== undefined) return place.answer;
    if (options.path !== undefined) return "ENOENT";
    const host = options.host ?? "localhost";
    const isKnown = host === "localhost" || isAddress(host) ||
      this.#places.some(({ address }) => address.host === host);
    return isKnown ? "ECONNREFUSED" : "ENOTFOUND";
  }

  #after(ms: number, fn: () => void): void {
    this.#clock.after(ms, fn, { ref: true });
  }
}

/** For a connection that nobody has a handler for yet. */
const nothing = (): void => {};
const mute: SocketHandler = {
  onOpen: nothing,
  onData: nothing,
  onEnd: nothing,
  onDrain: nothing,
  onClose: nothing,
};

function latencyMs(link: Link): number {
  return link.options.latencyMs ?? 0;
}

function matches(address: MemoryAddress, options: ConnectOptions): boolean {
  if (address.path !== undefined || options.path !== undefined) return address.path === options.path;
  return (address.host === undefined || address.host === (options.host ?? "localhost")) &&
    (address.port === undefined || address.port === options.port);
}

function isLookup(code: string): boolean {
  return code === "ENOTFOUND" || code.startsWith("EAI_");
}

function clientInfo(options: ConnectOptions, localPort: number): SocketInfo {
  if (options.path !== undefined) return { adapter: "memory" };
  const host = options.host ?? "localhost";
  const isIpv6 = host.includes(":");
  return {
    adapter: "memory",
    localAddress: isIpv6 ? "::1" : "127.0.0.1",
    localPort,
    remoteAddress: isAddress(host) ? host : "127.0.0.1",
    remotePort: options.port,
    remoteFamily: isIpv6 ? 6 : 4,
  };
}

function connectError(code: string, options: ConnectOptions): SocketError {
  const { host = "localhost", port, path } = options;
  if (isLookup(code)) {
    const facts = { code, phase: "lookup", syscall: "getaddrinfo", address: host, port } as const;
    return new SocketError(`getaddrinfo ${code} ${host}`, facts);
  }
  const where = path ?? (port === undefined ? host : `${host}:${port}`);
  const facts = { code, phase: "connect", syscall: "connect", address: path ?? host, port } as const;
  return new SocketError(`connect ${code} ${where}`, facts);
}
