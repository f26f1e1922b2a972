/**
 * A socket of node:net or node:tls that is seen before there is a connection, and is given another's.
 *
 * Owns the events that users of Node's sockets expect while one connects, and how a connection changes its stream. Must not
 * know who connects, nor in which order.
 *
 * Strategy: Node's programs are given a socket that is connecting, and no other later. But node:net's own race of addresses
 * kills each attempt after 250 ms (docs/defects.md, D16), and nothing public puts a connection into a net.Socket that exists.
 * So this one connects by a look-up that is answered here, its handle is kept from connecting, and at last it is given
 * the winner's handle, by the method that node:net's own race has for that (tests/runtime/TRAPS.md, trap 21). A runtime
 * without it shows a stream of ours (socket_stream.ts).
 *
 * @module
 */

import * as net from "node:net";
import { SocketError } from "./errors.ts";
import { type NodeConnect, streamOf, transportOf } from "./node.ts";
import { handlesConnect } from "./node_capabilities.ts";
import { NodeSocket } from "./node_socket.ts";
import type { ConnectOptions, LookupAddress, LookupFunction, Socket, SocketHandler } from "./socket.ts";
import { throwLater } from "./tell.ts";

/** What node:net gives its handle to connect by: the handle calls `oncomplete`, with 0 for success. */
interface ConnectRequest {
  oncomplete(status: number, handle: object, request: object, isReadable: boolean, isWritable: boolean): void;
}

/** What of a stream's handle is used here. */
interface Handle {
  connect?: (request: ConnectRequest) => number;
  connect6?: (request: ConnectRequest) => number;
  /** Bun's: whose it is, and while that is told of the connection, its request. */
  data?: { self: net.Socket; req: ConnectRequest };
}

interface Stream extends net.Socket {
  _handle: Handle | null;
}

/** Puts another handle into a stream. */
const REINITIALIZE = Object.getOwnPropertySymbols(net.Socket.prototype).find(({ description }) =>
  description === "kReinitializeHandle"
);

/** Makes a socket that waits for a connection; undefined: node:net has not what that takes. */
export function holdNode(
  connect: NodeConnect,
  options: ConnectOptions,
  handler: SocketHandler,
  onReference: (isReferenced: boolean) => void,
): HeldStream | undefined {
  return REINITIALIZE === undefined ? undefined : new HeldStream(connect, options, handler, onReference);
}

/** See the file's comment. */
export class HeldStream {
  /** The socket that waits. */
  readonly socket: Socket;
  /** What users see. */
  readonly #shown: Stream;
  /** What has the connection: under the TLS of Deno and Bun it is another stream. */
  readonly #transport: Stream;
  readonly #host: string;
  readonly #port: number | undefined;
  #answer: Parameters<LookupFunction>[2] | undefined;
  #request: ConnectRequest | undefined;
  #lastTold: string | undefined;

  /** Waits from now on. `onReference` is told what a user says of holding the process meanwhile. */
  constructor(
    connect: NodeConnect,
    options: ConnectOptions,
    handler: SocketHandler,
    onReference: (isReferenced: boolean) => void,
  ) {
    const { host = "localhost", port } = options;
    this.#host = host;
    this.#port = port;
    // What binds a socket, or chooses among addresses, is for those that connect.
    const { localAddress: _address, localPort: _port, family: _family, hints: _hints, tls, ...rest } =
      options;
    const lookup: LookupFunction = (_name, _options, answer) => void (this.#answer = answer);
    const held = {
      ...rest,
      // As an attempt's, or the two would not know each other's sessions.
      ...tls === undefined ? {} : { tls: { ...tls, host: tls.host || host } },
      lookup,
      autoSelectFamily: false,
      autoSelectFamilyAttemptTimeoutMs: undefined,
    };
    this.socket = connect(held, handler, undefined, true);
    this.#shown = streamOf(this.socket) as Stream;
    this.#transport = (transportOf(this.socket) ?? this.#shown) as Stream;
    this.#transport.on("connectionAttempt", (address: string) => {
      this.#lastTold = address;
    });
    this.#noteReferences(onReference);
  }

  /** A user has destroyed the stream. */
  get isGone(): boolean {
    return this.#shown.destroyed;
  }

  /** The name has these addresses. */
  onLookup([first, ...others]: readonly LookupAddress[]): void {
    if (first === undefined) return;
    const handle = this.#transport._handle;
    if (handlesConnect && handle !== null) {
      handle.connect = handle.connect6 = (request) => {
        this.#request = request;
        return 0;
      };
      // It tells of that itself, and asks the handle to connect: the others come in between.
      this.#transport.once("lookup", () => others.forEach(this.#tellLookup));
      try {
        this.#answer?.(null, first.address, first.family);
      } catch (error) {
        // What a listener has thrown. Without a request of its handle it would connect for ever.
        if (this.#request === undefined) this.#shown.destroy(error as Error);
        else throwLater(error);
      }
    } else [first, ...others].forEach(this.#tellLookup);
  }

  /** One of them is tried. */
  onAttempt({ address, family }: LookupAddress): void {
    if (this.#lastTold !== address) this.#tell("connectionAttempt", address, this.#port, family);
  }

  /** That has failed. */
  onFailure({ address, family }: LookupAddress, error: SocketError): void {
    this.#tell("connectionAttemptFailed", address, this.#port, family, nodeErrorOf(error));
  }

  /** The connection of another socket of node:net's, plain and open, becomes its own. */
  adopt(winner: Socket): void {
    const from = transportOf(winner) as Stream;
    const to = this.#transport;
    const handle = from._handle;
    // Ended by a user in this very moment, which is told next.
    if (to.destroyed || handle === null) return winner.destroy();
    for (const name of ["ref", "unref"]) Reflect.deleteProperty(to, name);
    const request = this.#request ?? handle.data!.req;
    if (handle.data !== undefined) handle.data = { self: to, req: request };
    from._handle = null;
    from.destroy();
    (to as unknown as Record<symbol, (handle: Handle) => void>)[REINITIALIZE!]!(handle);
    request.oncomplete(0, to._handle!, request, true, true);
  }

  /** There will be no connection: told as Node does, by 'error', and to the socket's handler. */
  fail(error: SocketError): void {
    const cause = nodeErrorOf(error);
    if (error.phase === "lookup") this.#tell("lookup", cause, undefined, undefined, this.#host);
    const { code, phase, syscall, address, port } = error;
    this.#shown.destroy(cause);
    if (this.#transport !== this.#shown) this.#transport.destroy();
    // More than what becomes of the error of a stream.
    const facts = { code, phase, syscall, address, port, cause };
    if (this.socket instanceof NodeSocket) this.socket.fail(new SocketError(error.message, facts));
  }

  // The handle that it is said of is not the one that will be there.
  #noteReferences(onReference: (isReferenced: boolean) => void): void {
    for (const [name, isReferenced] of [["ref", true], ["unref", false]] as const) {
      const value = (): net.Socket => {
        onReference(isReferenced);
        return this.#transport;
      };
      Object.defineProperty(this.#transport, name, { value, configurable: true, writable: true });
    }
  }

  readonly #tellLookup = ({ address, family }: LookupAddress): void => {
    this.#tell("lookup", null, address, family, this.#host);
  };

  // What a listener throws is the process's affair.
  #tell(event: string, ...args: unknown[]): void {
    try {
      this.#transport.emit(event, ...args);
    } catch (error) {
      throwLater(error);
    }
  }
}

// What node:net fails with: of several addresses, all of their errors.
function nodeErrorOf(error: SocketError): Error {
  const { cause } = error;
  if (!(cause instanceof Error)) return error;
  if (!(cause instanceof AggregateError)) return cause;
  const errors = cause.errors.map((each) => each instanceof SocketError ? nodeErrorOf(each) : each);
  return Object.assign(new AggregateError(errors, cause.message), { code: error.code });
}
