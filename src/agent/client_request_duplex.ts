/**
 * The reverse door: one exchange over a stream that somebody else's agent, or `createConnection`, gave.
 *
 * Owns how such a stream is borrowed and returned: 'free' when it may serve another request, destroyed when it may not,
 * as Node's client does. Knows no request: of it only the exchange.
 *
 * @module
 */

import type { Duplex } from "node:stream";
import { Connection, type ConnectionOwner, type SpentReason } from "./connection.ts";
import { ConnectionClosedError, invalidArgType } from "./core/errors.ts";
import type { Dispatched, Exchange } from "./exchange.ts";
import { handOver } from "./socket_stream.ts";
import { fromDuplex } from "../runtime/mod.ts";

/** An exchange and the request that it is for. */
export interface DuplexUser extends Exchange {
  /** What became of Node's keep-alive rules for it. */
  readonly request: { readonly shouldKeepAlive: boolean };
}

/** An exchange on a borrowed stream. */
export class DuplexExchange implements ConnectionOwner, Dispatched {
  readonly #exchange: DuplexUser;
  readonly #stream: Duplex;
  readonly #connection: Connection;
  #isStarted = false;
  #hasFailed = false;

  /** Begins. */
  constructor(exchange: DuplexUser, stream: Duplex) {
    this.#exchange = exchange;
    this.#stream = stream;
    this.#connection = new Connection(this, 0);
    const socket = fromDuplex(stream, this.#connection);
    this.#connection.attach(socket);
    exchange.onConnecting?.(socket);
    // A stream that had a Socket before is open, and that is not told again.
    if (!socket.connecting) this.#connection.onOpen();
  }

  /** {@linkcode Dispatched}. */
  abort(error: Error): void {
    if (this.#connection.carries(this.#exchange)) return this.#connection.abort(error);
    if (this.#isStarted) return;
    this.#connection.destroy();
    this.#fail(error);
  }

  onConnectionOpen(connection: Connection): void {
    if (this.#isStarted) return;
    this.#isStarted = true;
    connection.start(this.#exchange);
  }

  onConnectionIdle(connection: Connection): void {
    if (connection.socket.pendingBytes > 0) return connection.destroy();
    if (!this.#exchange.request.shouldKeepAlive) return this.#close(connection);
    // A SocketStream, too, takes its Socket again: the next to have it may read it as any stream, or be an exchange.
    handOver(connection.socket);
    this.#stream.emit("free");
  }

  onConnectionSpent(connection: Connection, reason: SpentReason): void {
    if (reason === "request-unfinished" || reason === "aborted") return connection.destroy();
    this.#close(connection);
    // As Node, which leaves it to the agent to look at what it gets back.
    if (reason === "peer-closed" && this.#exchange.request.shouldKeepAlive) this.#stream.emit("free");
  }

  // Node does not wait for the peer's FIN where it need not.
  #close(connection: Connection): void {
    const { destroySoon } = this.#stream as { destroySoon?: () => void };
    if (destroySoon !== undefined) destroySoon.call(this.#stream);
    else if (this.#stream.writable) this.#stream.end();
    else connection.destroy();
  }

  onConnectionClosed(_connection: Connection, error: Error | undefined): void {
    if (!this.#isStarted) {
      this.#fail(error ?? new ConnectionClosedError("The connection closed before it was open"));
    }
  }

  onConnectionDetached(): void {}

  #fail(error: Error): void {
    if (this.#hasFailed) return;
    this.#hasFailed = true;
    this.#exchange.onError(error);
  }
}

/**
 * Calls a user's `createConnection`, which answers by its callback or by what it returns, a promise too; `answer` is called
 * once. What is no stream is an error.
 */
export function askForStream<Options>(
  createConnection: (
    options: Options,
    callback: (error: Error | null, stream?: unknown) => void,
  ) => unknown,
  options: Options,
  answer: (error: Error | undefined, stream: unknown) => void,
): void {
  let isAnswered = false;
  const once = (error: Error | null, stream?: unknown): void => {
    if (isAnswered) return;
    isAnswered = true;
    if (error || !stream || isEmitter(stream)) answer(error ?? undefined, stream);
    else answer(invalidArgType("stream of createConnection()", "an instance of Duplex", stream), undefined);
  };
  try {
    const given = createConnection(options, once);
    if (given instanceof Promise) given.then((stream) => once(null, stream), once);
    else if (given) once(null, given);
  } catch (error) {
    once(error as Error);
  }
}

function isEmitter(value: unknown): boolean {
  return typeof (value as { on?: unknown }).on === "function";
}
