/**
 * The server's end of an in-memory connection, made for scripts.
 *
 * Owns what a test's server needs: text in and out, waiting for a marker, and the ways to misbehave. Must not know
 * listeners or HTTP. Strategy: a SocketHandler that collects; whoever wants the events themselves replaces
 * `socket.handler`.
 *
 * @module
 */

import type { SocketError } from "./errors.ts";
import type { MemorySocket } from "./memory_socket.ts";
import { MemoryTlsSocket } from "./memory_tls.ts";
import type { MemoryTlsClient, MemoryTlsOptions, ServerRole } from "./memory_tls.ts";
import type { ConnectOptions, Socket, SocketHandler } from "./socket.ts";

interface Reader {
  /** Bytes wanted, or the text after which to stop. */
  readonly want: number | string;
  readonly resolve: (text: string | undefined) => void;
}

/**
 * A connection as the server sees it. Text is latin1: one character a byte.
 *
 * @example
 * ```ts
 * import { MemoryNetwork } from "@holdfast/agent/testing";
 *
 * const network = new MemoryNetwork();
 * network.listen({ port: 80 }, async (peer) => {
 *   while (await peer.readUntil("\r\n\r\n") !== undefined) {
 *     peer.send("HTTP/1.1 204 No Content\r\n\r\n");
 *   }
 * });
 * ```
 */
export class MemoryPeer {
  /** What the client dialled. */
  readonly dialled: ConnectOptions;
  /** This end below TLS: the place of faults. */
  readonly wire: MemorySocket;
  /** Resolves when the connection is gone, with the error if there was one. */
  readonly closed: Promise<SocketError | undefined>;

  #socket: MemorySocket | MemoryTlsSocket;
  #received = "";
  #ended = false;
  #isClosed = false;
  #receivedBytes = 0;
  #resetAtBytes = Infinity;
  #readers: Reader[] = [];
  #closed!: (error: SocketError | undefined) => void;

  /** Made by the network, one for each connection accepted. */
  constructor(wire: MemorySocket, socket: MemorySocket | MemoryTlsSocket, dialled: ConnectOptions) {
    this.dialled = dialled;
    this.closed = new Promise((resolve) => this.#closed = resolve);
    this.wire = wire;
    this.#socket = socket;
    socket.handler = this.#handler();
  }

  /** The server's end as a Socket; give it a handler of your own to see the events. */
  get socket(): Socket {
    return this.#socket;
  }

  /** What is known of a client that came by TLS; undefined of any other. */
  get tls(): MemoryTlsClient | undefined {
    return this.#socket instanceof MemoryTlsSocket ? this.#socket.client : undefined;
  }

  /** Everything received and not yet taken by a read, as text. */
  get received(): string {
    return this.#received;
  }

  /** How many bytes were received. */
  get receivedBytes(): number {
    return this.#receivedBytes;
  }

  /** The client has sent its FIN. */
  get ended(): boolean {
    return this.#ended;
  }

  /** Takes the text up to and including `marker`, once it is there; undefined where the connection ends before. */
  readUntil(marker: string): Promise<string | undefined> {
    return this.#read(marker);
  }

  /** Takes `bytes` bytes, once they are there; undefined where the connection ends before. */
  readBytes(bytes: number): Promise<string | undefined> {
    return this.#read(bytes);
  }

  /** Sends text or bytes; the result is `write()`'s. */
  send(data: string | Uint8Array): boolean {
    return this.socket.write(typeof data === "string" ? latin1(data) : data);
  }

  /** Sends FIN after what was sent; reading goes on. */
  end(): void {
    this.socket.end();
  }

  /** Closes both ways: a FIN for the client, then an RST for each byte that it still sends. */
  destroy(): void {
    this.socket.destroy();
  }

  /** Sends an RST. */
  reset(): void {
    this.wire.reset();
  }

  /** Sends an RST by itself once `bytes` more bytes were sent. */
  resetAfterSending(bytes: number): void {
    this.wire.cutAfterSending(bytes, "rst");
  }

  /** Sends an RST by itself once `bytes` more bytes were received. */
  resetAfterReceiving(bytes: number): void {
    this.#resetAtBytes = this.#receivedBytes + bytes;
  }

  /** Ends the connection below TLS: a FIN without close_notify, as of a peer that was killed. */
  truncate(): void {
    this.wire.end();
  }

  /**
   * Speaks TLS from here on, as a proxy does for the host behind it once it has answered CONNECT; resolves when the
   * client has been let through, and never where it has not.
   */
  startTls(options: MemoryTlsOptions = {}): Promise<void> {
    return new Promise((resolve) => {
      const role: ServerRole = { side: "server", options };
      const handler = { ...this.#handler(), onOpen: resolve };
      this.#socket = new MemoryTlsSocket(this.#socket, role, this.wire.link.clock, handler);
    });
  }

  /**
   * Passes everything on to another connection and back, as a proxy does: bytes, FIN, and the end. `destination` has to be
   * open, or connecting.
   */
  relay(destination: Socket): void {
    this.#socket.handler = passOn(destination);
    destination.handler = passOn(this.#socket);
    if (this.#received.length > 0) destination.write(latin1(this.#received));
    this.#received = "";
  }

  /** The wire is cut: no byte, FIN or RST passes any more in either direction, and the client is not told. */
  vanish(): void {
    this.wire.link.isCut = true;
  }

  #handler(): SocketHandler {
    return {
      onOpen: () => {},
      onData: (chunk) => this.#collect(chunk),
      onEnd: () => {
        this.#ended = true;
        this.#serve();
      },
      onDrain: () => {},
      onClose: (error) => {
        this.#isClosed = true;
        this.#serve();
        this.#closed(error);
      },
    };
  }

  #collect(chunk: Uint8Array): void {
    this.#receivedBytes += chunk.length;
    this.#received += text(chunk);
    this.#serve();
    if (this.#receivedBytes >= this.#resetAtBytes) this.wire.reset();
  }

  #read(want: number | string): Promise<string | undefined> {
    return new Promise((resolve) => {
      this.#readers.push({ want, resolve });
      this.#serve();
    });
  }

  // Readers are served in order; what cannot be served any more gets undefined.
  #serve(): void {
    while (this.#readers.length > 0) {
      const { want, resolve } = this.#readers[0]!;
      const length = typeof want === "number" ? want : this.#received.indexOf(want) + want.length;
      const isThere = typeof want === "number"
        ? this.#received.length >= want
        : this.#received.includes(want);
      if (!isThere && !this.#ended && !this.#isClosed) return;
      this.#readers.shift();
      resolve(isThere ? this.#received.slice(0, length) : undefined);
      if (isThere) this.#received = this.#received.slice(length);
    }
  }
}

function passOn(to: Socket): SocketHandler {
  return {
    onOpen: () => {},
    // What is written has to stay as it is; what is given is lent.
    onData: (chunk) => void to.write(chunk.slice()),
    onEnd: () => to.end(),
    onDrain: () => {},
    onClose: () => to.destroy(),
  };
}

function latin1(data: string): Uint8Array {
  const bytes = new Uint8Array(data.length);
  for (let index = 0; index < data.length; index++) bytes[index] = data.charCodeAt(index);
  return bytes;
}

function text(bytes: Uint8Array): string {
  let result = "";
  for (const byte of bytes) result += String.fromCharCode(byte);
  return result;
}
