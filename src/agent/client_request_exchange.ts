/**
 * One try of a ClientRequest over one connection.
 *
 * Owns the translation of what a connection tells (`exchange.ts`) into Node's events on request and response, their order,
 * and the moment at which the connection is given back: when the response has been consumed.
 * Knows no agent, option or header. The request's own state is the request's.
 *
 * Strategy: everything that is told runs in the asynchronous context in which the request was made. What Node defers by a
 * tick is deferred by one.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { channel } from "node:diagnostics_channel";
import { EventEmitter } from "node:events";
import {
  handshakeError,
  isDestroyed,
  isHangUp,
  nodeError,
  surplusError,
  unaskedUpgrade,
} from "./client_request_errors.ts";
import { limitsOf } from "./client_request_options.ts";
import type { ExchangeOwner } from "./client_request_owner.ts";
import type { BodyFraming } from "./core/framing.ts";
import type { HeaderBlock } from "./core/headers.ts";
import { persists } from "./core/keep_alive.ts";
import type { ParserLimits, ResponseHead } from "./core/response_parser.ts";
import type { Dispatched, Exchange, ExchangeControl } from "./exchange.ts";
import { IncomingMessage, type ResponseSource } from "./incoming_message.ts";
import type { MessageSink } from "./outgoing_message_output.ts";
import { connectionReset } from "./outgoing_message_errors.ts";
import { handOver } from "./socket_stream.ts";
import { nextTurn } from "../clock.ts";
import { type Context, run } from "../runtime/context.ts";
import { SocketError } from "../runtime/errors.ts";
import { nextTick, streamOf } from "../runtime/mod.ts";
import type { Socket } from "../runtime/socket.ts";

/** A stream with Node's mark of the request that uses it. */
interface ShownStream extends EventEmitter {
  _httpMessage?: unknown;
  setTimeout?(ms: number): void;
}

function ignore(): void {
  // The connection itself sees the end.
}

/** How the exchange gets at the stream of its socket. */
export type StreamOf = (socket: Socket) => unknown;

const CR = 13;
const LF = 10;
const HTTP = Buffer.from("HTTP/");
const EMPTY = new Uint8Array(0);
const responseFinish = channel("http.client.response.finish");

/** See the file's comment. */
export class RequestExchange implements Exchange, MessageSink, ResponseSource {
  readonly method: string;
  readonly head: Uint8Array = EMPTY;
  readonly body: undefined = undefined;
  readonly hasMore = true;
  readonly showsSocket = true;
  readonly request: ExchangeOwner;
  readonly #context: Context;
  readonly #streamOf: StreamOf;
  readonly #isBorrowed: boolean;
  readonly #highWaterMark: { readableHighWaterMark?: number | undefined } | undefined;
  #dispatched: Dispatched | undefined;
  #socket: Socket | undefined;
  #control: ExchangeControl | undefined;
  #stream: ShownStream | undefined;
  #response: IncomingMessage | undefined;
  #isReused = false;
  #isAnnounced = false;
  #isAnnouncing = false;
  #isHeld = false;
  #isReleased = false;
  /** The response has set the stream's time of inactivity. */
  #isTimed = false;
  #isOver = false;
  #head: { readonly head: ResponseHead; readonly framing: BodyFraming } | undefined;
  /** The connection is telling something: more of the same bytes may follow. */
  #isTelling = false;
  /** The user has given up, for this reason. */
  #givenUp: Error | undefined;

  /** `context`: in which the request was made. `stream`: a borrowed one, whose high water mark the response takes. */
  constructor(request: ExchangeOwner, context: Context, streamOf: StreamOf, stream?: object) {
    this.request = request;
    this.method = request.method;
    this.#context = context;
    this.#streamOf = streamOf;
    this.#isBorrowed = stream !== undefined;
    this.#highWaterMark = stream ?? request._responseOptions;
  }

  /** Says how it is given up. */
  bind(dispatched: Dispatched): void {
    this.#dispatched = dispatched;
  }

  get anyStatusConnects(): boolean {
    return this.method === "CONNECT";
  }

  get isLast(): boolean {
    return this.request._isLast;
  }

  get limits(): Partial<ParserLimits> | undefined {
    const { maxHeadersCount, maxHeaderSize, _leniency } = this.request;
    return limitsOf(maxHeaderSize, maxHeadersCount, _leniency);
  }

  /** The stream of the connection; undefined until it has a socket. */
  get socket(): unknown {
    if (this.#socket === undefined) return undefined;
    if (this.#stream === undefined) {
      this.#show((this.#dispatched?.stream ?? this.#streamOf(this.#socket)) as ShownStream);
    }
    return this.#stream;
  }

  // What is told to the user runs in his context. What he throws is his process's uncaught exception, as it would be in
  // Node; the connection goes on (socket.ts: a handler must not throw).
  #tell<This, Result, Argument>(
    fn: (this: This, argument: Argument) => Result,
    self: This,
    argument: Argument,
  ): Result | undefined {
    const wasTelling = this.#isTelling;
    this.#isTelling = true;
    try {
      return run(this.#context, fn, self, argument);
    } catch (error) {
      nextTick(() => {
        throw error;
      });
      return undefined;
    } finally {
      this.#isTelling = wasTelling;
    }
  }

  /** 'socket' was told. */
  get isAnnounced(): boolean {
    return this.#isAnnounced;
  }

  // Node's marks of a request on its socket, for those who look for them.
  #show(stream: ShownStream): void {
    this.#stream = stream;
    if (this.#isOver || this.#isReleased) return;
    stream._httpMessage = this.request;
    stream.on("end", ignore);
    if (this.#response !== undefined) stream.on("timeout", this.#onTimeout);
  }

  // Whoever has set the stream's time of inactivity; the request's own listener is client_request_timeout.ts's.
  readonly #onTimeout = (): void => void this.#response!.emit("timeout");

  #unshow(): void {
    const stream = this.#stream;
    if (stream === undefined) return;
    stream.off("end", ignore);
    stream.off("timeout", this.#onTimeout);
    // On a borrowed stream it is for the agent to take off: Node's reads it at 'free'.
    if (stream._httpMessage === this.request && (!this.#isBorrowed || this.#isOver)) {
      stream._httpMessage = null;
    }
  }

  /** Nothing more is told: the connection is another's, or gone. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** The stream that a user has seen; undefined: none has. */
  get shownStream(): unknown {
    return this.#stream;
  }

  /** Gives up; `error` is the request's own and comes back by its `_onClose`. */
  abort(error: Error | null): void {
    this.#givenUp ??= error ?? connectionReset("aborted");
    // As in Node, what came with the same bytes is part of the response still.
    if (this.#isTelling && this.#response !== undefined) nextTick(() => this.#giveUp());
    else this.#giveUp();
  }

  #giveUp(): void {
    if (this.#isOver) return;
    if (this.#dispatched === undefined) this.onError(this.#givenUp!);
    else this.#dispatched.abort(this.#givenUp!);
  }

  /** The request's upload is complete and the response consumed: the connection goes back, or closes: `isLast`. */
  release(isLast: boolean): void {
    if (this.#isReleased) return;
    this.#isReleased = true;
    this.#unshow();
    // The time of the next request is its own (D6).
    if (this.#isTimed) this.#stream?.setTimeout?.(0);
    this.#response?._release(isLast);
    this.#control?.release();
  }

  // What the connection tells.

  onConnecting(socket: Socket): void {
    this.#socket = socket;
    this.#announceLater();
  }

  onStart(control: ExchangeControl, isReused: boolean): void {
    this.#control = control;
    this.#socket = control.socket;
    this.#isReused = isReused;
    if (this.#isAnnounced) this.#tell(this.#open, this, undefined);
    else this.#announceLater();
  }

  #announceLater(): void {
    if (this.#isAnnouncing) return;
    this.#isAnnouncing = true;
    nextTick(() => run(this.#context, this.#announce, this, undefined));
  }

  #announce(): void {
    if (this.#isOver || this.request.destroyed) return;
    this.#isAnnounced = true;
    this.request._onSocket(this.#isReused);
    if (this.#control !== undefined) this.#open();
  }

  #open(): void {
    if (!this.request.destroyed) this.request._onOpen(this);
  }

  onDrain(): void {
    this.#tell(this.request._onDrain, this.request, undefined);
  }

  onInformational(head: ResponseHead): void {
    this.#tell(this.#inform, this, head);
  }

  #inform(head: ResponseHead): void {
    const { request } = this;
    request._onAnswer();
    if (head.status === 100) request.emit("continue");
    request.emit("information", {
      statusCode: head.status,
      statusMessage: head.statusText,
      httpVersion: `${head.httpVersionMajor}.${head.httpVersionMinor}`,
      httpVersionMajor: head.httpVersionMajor,
      httpVersionMinor: head.httpVersionMinor,
      headers: this.#message(head).headers,
      rawHeaders: head.headers.rawHeaders,
    });
  }

  #message(head: ResponseHead): IncomingMessage {
    const message = new IncomingMessage(this.#highWaterMark);
    message._begin(head, this);
    message.socket = this.#isBorrowed ? this.socket : undefined;
    message.joinDuplicateHeaders = this.request.joinDuplicateHeaders;
    return message;
  }

  onHead(head: ResponseHead, framing: BodyFraming): void {
    const response = this.#response = this.#message(head);
    const { request } = this;
    this.#head = { head, framing };
    // As in Node the server's word alone counts here, not the request's: who is told first, request or response.
    if (request.shouldKeepAlive) request.shouldKeepAlive = persists(head, framing);
    this.#tell(this.#respond, this, response);
  }

  #respond(response: IncomingMessage): void {
    const { request } = this;
    request._onAnswer();
    request.res = response;
    response.req = request;
    this.#stream?.on("timeout", this.#onTimeout);
    if (responseFinish.hasSubscribers) responseFinish.publish({ request, response });
    // Before any listener of the user's, so that the connection is given back whatever he does.
    response.on("end", () => this.#onConsumed());
    let isHeard = false;
    try {
      isHeard = !request.aborted && request.emit("response", response);
    } finally {
      // What nobody reads would hold the connection; nor does he whose listener threw before he began to.
      if (!isHeard && response.readableFlowing === null) response._dump();
    }
  }

  onBody(chunk: Uint8Array): boolean {
    const response = this.#response!;
    if (response._dumped) return true;
    return this.#tell(response.push, response, copyOf(chunk)) ?? true;
  }

  // Node's parser reads on: what is no further response is an error. (One that is a response ends the connection without a word.)
  onSurplus(chunk: Uint8Array, at: number): void {
    let begin = at;
    while (chunk[begin] === CR || chunk[begin] === LF) begin++;
    if (begin === chunk.length || startsAsHttp(chunk.subarray(begin))) return;
    this.#unshow();
    const error = surplusError(chunk, begin, persists(this.#head!.head, this.#head!.framing));
    this.#tell(this.request._onError, this.request, error);
  }

  onResponseEnd(trailers: HeaderBlock | undefined): boolean {
    this.#isHeld = true;
    this.#tell(this.#response!._complete, this.#response!, trailers);
    return false;
  }

  // Nobody may ever read the response: a connection that is of no more use does not hold the process for him. As in Node
  // who reads at once has read by then.
  onPeerEnd(): void {
    nextTurn(() => {
      if (this.#isOver || !this.request._isSent) return;
      this.#tell(this.request._onClose, this.request, undefined);
      this.release(true);
    });
  }

  onComplete(): void {
    this.#isOver = true;
  }

  #onConsumed(): void {
    this.#stream?.off("timeout", this.#onTimeout);
    if (this.#isOver && (!this.#isHeld || this.#response!.destroyed && this.#response!.aborted)) return;
    this.request._onEnd();
  }

  onUpgrade(head: ResponseHead, socket: Socket, rest: Uint8Array): void {
    // RFC 9110 section 15.2.2: it names the protocol. An upgrade that nobody listens for ends silently, as in Node; this is none.
    const isUnasked = head.status === 101 && head.headers.get("upgrade") === undefined;
    if (isUnasked && this.request.listenerCount("upgrade") === 0) {
      socket.destroy();
      return this.onError(unaskedUpgrade());
    }
    this.#isOver = true;
    this.#tell(this.#upgrade, this, { head, socket, rest });
  }

  #upgrade({ head, socket, rest }: { head: ResponseHead; socket: Socket; rest: Uint8Array }): void {
    const { request } = this;
    const response = this.#response = this.#message(head);
    response.upgrade = response.complete = true;
    response.req = request;
    request.res = response;
    const event = this.method === "CONNECT" ? "connect" : "upgrade";
    const stream = handOver(socket) as unknown as EventEmitter & {
      destroy(): void;
      _httpMessage?: unknown;
      parser?: null;
    };
    if (request.listenerCount(event) === 0) {
      stream.destroy();
      return request._onClose();
    }
    request.upgradeOrConnect = true;
    request._onHandOver();
    this.#unshow();
    stream.emit("agentRemove");
    if ("_httpMessage" in stream) stream._httpMessage = null;
    // Node's parser has let go of it.
    stream.parser = null;
    response.socket = stream;
    request.emit(event, response, stream, Buffer.from(rest));
    request._onClose();
  }

  onError(error: Error): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#unshow();
    // Inside the user's destroy(), or his agent's: what there is to say is said later, to who listens by then.
    if (this.request.destroyed || isDestroyed(error)) {
      const fail = (): void => run(this.#context, this.#fail, this, error);
      // Where there is a socket Node's 'close' is the socket's, a turn later.
      if (this.#isAnnounced) nextTurn(fail);
      else nextTick(() => nextTick(fail));
    } else this.#tell(this.#fail, this, error);
  }

  #fail(error: Error): void {
    const { request } = this;
    const response = this.#response;
    if (response === undefined) {
      if (!request.destroyed) {
        if (request._triesAgain(error, this.#control, this.#isReused)) return;
        return request._onFailure(
          this.#control === undefined && isDestroyed(error) ? error : this.#asNode(error),
        );
      }
      return request._onClose();
    }
    if (response.destroyed) return this.#failReader(response);
    if (response.complete) return this.#failWhole(response, error);
    if (request.destroyed) return this.#cutOff(response, error);
    // As in Node, where the socket's 'close' does it: who reads has read by then what came before the fault.
    nextTurn(() => run(this.#context, () => this.#cutOff(response, error), this, undefined));
    if (isHangUp(error)) return;
    request._hasFailed = true;
    request._onError(this.#asNode(error));
  }

  // All of the response is here, and may be read still.
  #failWhole(response: IncomingMessage, error: Error): void {
    const { request } = this;
    // Where it flows the request's 'close' comes with its 'end'.
    if (!response.readableEnded && response.readableFlowing === true) return;
    // What a pool does of its own is no failure of a request that has its answer.
    const isTold = error instanceof SocketError && !isHangUp(error);
    if (isTold && !response.readableEnded && !request.destroyed) request._onFailure(this.#asNode(error));
    else request._onClose();
  }

  #cutOff(response: IncomingMessage, error: Error): void {
    if (response.destroyed) return this.#failReader(response);
    response.destroy(connectionReset("aborted", error));
    this.request._onClose();
  }

  // The reader gave up: what he said is told by the request too, and his 'close' comes first.
  #failReader(response: IncomingMessage): void {
    const { request } = this;
    const { errored } = response;
    if (errored !== null && !request.destroyed && !request._hasFailed) {
      nextTick(() => run(this.#context, () => request._onError(errored), this, undefined));
    }
    // Node's is the socket's, a turn later.
    const close = (): void => nextTurn(() => run(this.#context, request._onClose, request, undefined));
    if (response.closed) close();
    else response.once("close", close);
  }

  /** The error that Node's client has for it. */
  #asNode(error: Error): Error {
    const isNodes = this.#isBorrowed ||
      (this.#socket !== undefined && streamOf(this.#socket) !== undefined);
    const failed = nodeError(error, isNodes, (this.#stream as { errored?: unknown } | undefined)?.errored);
    return this.#control === undefined && this.request.headersSent ? handshakeError(error, failed) : failed;
  }

  // What the request asks, as its sink.

  get pendingBytes(): number {
    return this.#control?.socket.pendingBytes ?? 0;
  }

  write(chunk: Uint8Array, more: boolean): void {
    this.#control?.write(chunk, more);
  }

  end(): void {
    this.#control?.end();
  }

  // What the response asks, as its source.

  resume(): void {
    this.#control?.resume();
  }

  setTimeout(ms: number): void {
    if (this.#isOver) return;
    this.#isTimed = true;
    (this.socket as ShownStream).setTimeout?.(ms);
  }
}

// Half of what Buffer.from() takes on Node, a sixth on Deno.
function copyOf(chunk: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafe(chunk.length);
  copy.set(chunk);
  return copy;
}

function startsAsHttp(bytes: Uint8Array): boolean {
  return HTTP.subarray(0, bytes.length).every((byte, index) => byte === bytes[index]);
}
