/**
 * What the tests of the node adapter share: a handler that writes down what it is told, and servers that close all that
 * they opened.
 *
 * @module
 */

import * as net from "node:net";
import * as tls from "node:tls";
import type { SocketError } from "../../src/runtime/errors.ts";
import type { SocketHandler } from "../../src/runtime/socket.ts";

/** A SocketHandler that keeps a log: `open`, `data 3`, `end`, `drain`, `close`, `close ECONNRESET`. */
export class Recorder implements SocketHandler {
  readonly log: string[] = [];
  readonly chunks: Uint8Array[] = [];
  error: SocketError | undefined;
  readonly opened: Promise<void>;
  readonly ended: Promise<void>;
  readonly closed: Promise<SocketError | undefined>;
  dataHook: ((chunk: Uint8Array) => void) | undefined;
  #waiters: { test: () => boolean; resolve: () => void }[] = [];
  #isClosed = false;

  constructor() {
    this.opened = this.until(() => this.log.includes("open"));
    this.ended = this.until(() => this.log.includes("end"));
    this.closed = this.until(() => this.#isClosed).then(() => this.error);
  }

  /** The bytes so far, as Latin-1 text. */
  get text(): string {
    return this.chunks.map((chunk) => String.fromCharCode(...chunk)).join("");
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

  onEnd(): void {
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
    this.log.push(event);
    this.#waiters = this.#waiters.filter((waiter) => {
      if (!waiter.test()) return true;
      waiter.resolve();
      return false;
    });
  }
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
