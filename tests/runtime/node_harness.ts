/**
 * What the tests of the node adapter share: a handler that writes down what it is told, and servers that close all that
 * they opened.
 *
 * @module
 */

import * as net from "node:net";
import * as tls from "node:tls";
import * as assert from "uvu/assert";
import type { SocketError } from "../../src/runtime/errors.ts";
import type { Socket, SocketHandler } from "../../src/runtime/socket.ts";

/** A SocketHandler that keeps a log: `open`, `data 3`, `end`, `drain`, `close`, `close ECONNRESET`. */
export class Recorder implements SocketHandler {
  readonly log: string[] = [];
  readonly chunks: Uint8Array[] = [];
  /** What each `onEnd` was told. */
  readonly endings: (boolean | undefined)[] = [];
  error: SocketError | undefined;
  readonly opened: Promise<void>;
  readonly ended: Promise<void>;
  readonly closed: Promise<SocketError | undefined>;
  /** Called by each `onData`, before it is written down. */
  dataHook: ((chunk: Uint8Array) => void) | undefined;
  /** Above 0 while a call to the socket runs. */
  callDepth = 0;
  #waiters: { test: () => boolean; resolve: () => void }[] = [];
  #isClosed = false;

  constructor() {
    this.opened = this.until(() => this.log.includes("open"));
    this.ended = this.until(() => this.log.includes("end"));
    this.closed = this.until(() => this.#isClosed).then(() => this.error);
  }

  /** The bytes so far, as Latin-1 text. */
  get text(): string {
    return this.chunks.map((chunk) => new TextDecoder("latin1").decode(chunk)).join("");
  }

  /** Number of bytes so far. */
  get length(): number {
    return this.chunks.reduce((sum, chunk) => sum + chunk.length, 0);
  }

  /** Settles when `test` holds after some event. */
  until(test: () => boolean): Promise<void> {
    if (test()) return Promise.resolve();
    return new Promise((resolve) => this.#waiters.push({ test, resolve }));
  }

  /** Settles when the text so far contains `part`. */
  untilText(part: string): Promise<void> {
    return this.until(() => this.text.includes(part));
  }

  onOpen(): void {
    this.#note("open");
  }

  onData(chunk: Uint8Array): void {
    this.chunks.push(chunk.slice());
    this.dataHook?.(chunk);
    this.#note(`data ${chunk.length}`);
  }

  onEnd(authenticated?: boolean): void {
    this.endings.push(authenticated);
    this.#note("end");
  }

  onDrain(): void {
    this.#note("drain");
  }

  onClose(error?: SocketError): void {
    this.error = error;
    this.#isClosed = true;
    this.#note(error === undefined ? "close" : `close ${error.code}`);
  }

  #note(event: string): void {
    this.log.push(this.callDepth > 0 ? `INSIDE ${event}` : event);
    this.#waiters = this.#waiters.filter((waiter) => {
      if (!waiter.test()) return true;
      waiter.resolve();
      return false;
    });
  }
}

/**
 * The socket with each call marked, so that `seen` can tell a callback inside a call: it notes `INSIDE`. Members that are no
 * function pass through.
 */
export function watched(socket: Socket, seen: Recorder): Socket {
  return new Proxy(socket, {
    get(target, name): unknown {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== "function") return value;
      return (...args: unknown[]): unknown => {
        seen.callDepth++;
        try {
          return Reflect.apply(value, target, args);
        } finally {
          seen.callDepth--;
        }
      };
    },
    set: (target, name, value) => Reflect.set(target, name, value, target),
  });
}

/** A listening server and what it needs to be closed whole. */
export interface Listening {
  readonly port: number;
  readonly server: net.Server;
  /** Every connection so far. */
  readonly connections: net.Socket[];
  close(): Promise<void>;
}

/** Listens on a free port of loopback, or at `path`. */
export async function listen(
  server: net.Server,
  at: { host?: string; path?: string } = {},
): Promise<Listening> {
  const connections: net.Socket[] = [];
  server.on("connection", (connection: net.Socket) => {
    connections.push(connection);
    // The client's resets are what the tests are about; the server has nothing to say of them.
    connection.on("error", () => {});
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    if (at.path === undefined) server.listen(0, at.host ?? "127.0.0.1", resolve);
    else server.listen(at.path, resolve);
  });
  const address = server.address();
  return {
    port: typeof address === "object" && address !== null ? address.port : 0,
    server,
    connections,
    close: () =>
      new Promise((resolve) => {
        for (const connection of connections) connection.destroy();
        server.close(() => resolve());
      }),
  };
}

/** A plain TCP server. */
export function listenTcp(
  onConnection: (connection: net.Socket) => void = () => {},
  at: { host?: string; path?: string } = {},
): Promise<Listening> {
  return listen(net.createServer({ allowHalfOpen: true }, onConnection), at);
}

/** A TLS server. */
export function listenTls(
  options: tls.TlsOptions,
  onConnection: (connection: tls.TLSSocket) => void = () => {},
  at: { host?: string; path?: string } = {},
): Promise<Listening> {
  const server = tls.createServer(options, (connection) => {
    connection.on("error", () => {});
    onConnection(connection);
  });
  // A refused handshake is the client's affair.
  server.on("tlsClientError", () => {});
  return listen(server, at);
}

/** The text as bytes, one a character. */
export function bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** `length` bytes that are different for each seed and at each place. */
export function pattern(seed: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) bytes[index] = (seed * 31 + index * 7 + (index >> 8)) & 0xff;
  return bytes;
}

/** The index of the first byte that is not the pattern's, or -1. */
export function firstDifference(seed: number, chunks: readonly Uint8Array[]): number {
  let index = 0;
  for (const chunk of chunks) {
    for (const byte of chunk) {
      if (byte !== ((seed * 31 + index * 7 + (index >> 8)) & 0xff)) return index;
      index++;
    }
  }
  return -1;
}

/** One turn of the event loop and a little more: enough for what is in the kernel of loopback to come up. */
export function settle(ms: number = 20): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Holds that a connect is refused for an option, by its name: TypeError ERR_UNSUPPORTED_OPTION. */
export function assertUnsupported(connect: () => unknown, name: string): void {
  assert.throws(
    connect,
    (error: unknown) =>
      error instanceof TypeError && (error as { code?: string }).code === "ERR_UNSUPPORTED_OPTION" &&
      error.message.includes(`"${name}"`),
    name,
  );
}
