/**
 * ClientRequest: Node's request (http document, "Class: http.ClientRequest") over anybody's agent.
 *
 * Owns the request's options and state, its end (destroy, abort, signal) and the choice of the way: our agents are handed
 * an exchange, all others a request with onSocket(). What a connection tells is client_request_exchange.ts's, its time of
 * inactivity client_request_timeout.ts's.
 *
 * @module
 */

import { channel } from "node:diagnostics_channel";
import { EventEmitter } from "node:events";
import type { Duplex } from "node:stream";
import { isReplaced } from "./agent_hooks.ts";
import { askForStream, DuplexExchange } from "./client_request_duplex.ts";
import { RequestExchange } from "./client_request_exchange.ts";
import { setHeaders } from "./client_request_headers.ts";
import {
  type AgentLike,
  checkPlace,
  checkProtocol,
  chooseAgent,
  type HttpValidation,
  leniencyOf,
  onAbort,
  readArguments,
  readBoolean,
  readHost,
  readHttpValidation,
  readMaxHeaderSize,
  readMethod,
  readPath,
  readUniqueHeaders,
  type RequestOptions,
  responseOptionsOf,
  type RetryOption,
  servesBothSchemes,
  withoutSignal,
} from "./client_request_options.ts";
import type { ExchangeOwner } from "./client_request_owner.ts";
import { isRepeatable } from "./client_request_retry.ts";
import {
  readTimeout,
  RequestTimeout,
  type StreamLike,
  timeoutOption,
  whenConnected,
} from "./client_request_timeout.ts";
import { AbortError } from "./core/errors.ts";
import { anticipatesBody } from "./core/framing.ts";
import type { DispatchableRequest, Dispatcher, Endpoint, ExchangeControl } from "./exchange.ts";
import { globalAgent } from "./global_agent.ts";
import type { IncomingMessage } from "./incoming_message.ts";
import { OutgoingMessage } from "./outgoing_message.ts";
import { connectionReset } from "./outgoing_message_errors.ts";
import type { MessageSink } from "./outgoing_message_output.ts";
import { viewOf } from "./socket_stream.ts";
import { nextTurn } from "../clock.ts";
import { capture, type Context, run } from "../runtime/context.ts";
import { nextTick } from "../runtime/mod.ts";

const created = channel("http.client.request.created");
const started = channel("http.client.request.start");
const failed = channel("http.client.request.error");

/** A listener for 'response'. */
export type ResponseListener = (response: IncomingMessage) => void;

/** See the file's comment. */
export class ClientRequest extends OutgoingMessage implements ExchangeOwner, DispatchableRequest {
  /** Whose connections it uses; undefined: `createConnection`'s. */
  agent: AgentLike | undefined;
  /** In upper case. */
  method: string;
  /** As in the Host header, without the port. */
  host: string;
  /** `"http:"` or `"https:"`. */
  protocol: string;
  /** Unix domain socket. */
  socketPath: string | undefined;
  /** The option. */
  timeout: number | undefined;
  /** The option. */
  maxHeaderSize: number | undefined;
  /** The option. */
  insecureHTTPParser: boolean | undefined;
  /** The option. */
  httpValidation: HttpValidation | undefined;
  /** The option. */
  joinDuplicateHeaders: boolean | undefined;
  /** Fields of the response's head that are shown; null: 2,000, more are an error; 0: all. */
  maxHeadersCount: number | null = null;
  /** The connection had served another request before. */
  reusedSocket = false;
  /** abort() was called. @deprecated Look at `destroyed`. */
  aborted = false;
  /** The response, once its head has come. */
  res: IncomingMessage | null = null;
  /** The connection is the user's; node:stream tells a client's messages from a server's by this member. */
  upgradeOrConnect = false;
  /** The response has been consumed. */
  _ended = false;
  /** The connection has failed, and 'error' says so: what the user adds is not told. */
  _hasFailed = false;
  /** What the response's stream is made with. */
  readonly _responseOptions: { readonly readableHighWaterMark: number } | undefined;
  readonly #context: Context = capture();
  readonly #retry: RetryOption;
  #path: string;
  #exchange: RequestExchange | undefined;
  #dispatcher: Dispatcher | undefined;
  #endpoint: Endpoint | undefined;
  #tries = 0;
  /** What our agents were given, and nobody else. */
  #given: object | undefined;
  /** The stream of the reverse door, and what a user set. */
  #stream: unknown = null;
  #isDuplex = false;
  /** Why a stream that was given too late had ended by then: this is told, as in Node. */
  #streamError: Error | null = null;
  #unlisten: (() => void) | undefined;
  /** Made when it is needed: most requests have none. */
  #timeout: RequestTimeout | undefined;
  #isOpen = false;

  /** As `request()`; see {@linkcode RequestOptions} for the errors. */
  constructor(
    input: string | URL | RequestOptions,
    options?: RequestOptions | ResponseListener,
    callback?: ResponseListener,
  ) {
    const read = readArguments(input, options, callback);
    super(read.options);
    const { options: given } = read;
    const defaultAgent = (given["_defaultAgent"] ?? globalAgent()) as AgentLike;
    this.agent = chooseAgent(given, defaultAgent);
    const path = given.path ? readPath(given.path) : "/";
    checkProtocol(given, this.agent, defaultAgent);
    this.#path = path;
    this.protocol = given.protocol || defaultAgent.protocol || "http:";
    this.host = readHost(given);
    this.socketPath = given.socketPath;
    if (given.timeout !== undefined) this.timeout = readTimeout(given.timeout, "timeout");
    this.method = readMethod(given.method);
    this._responseOptions = responseOptionsOf(given);
    this.maxHeaderSize = readMaxHeaderSize(given.maxHeaderSize);
    this.insecureHTTPParser = readBoolean(given.insecureHTTPParser, "options.insecureHTTPParser");
    this.httpValidation = readHttpValidation(given.httpValidation, this.insecureHTTPParser);
    this._leniency = leniencyOf(this.httpValidation, this.insecureHTTPParser);
    this.joinDuplicateHeaders = readBoolean(given.joinDuplicateHeaders, "options.joinDuplicateHeaders");
    this.#retry = given.retry ?? "idempotent";
    this.useChunkedEncodingByDefault = anticipatesBody(this.method);
    this._removedConnection = this._removedContLen = this._removedTE = given.setDefaultHeaders === false;
    // A connection that nobody can use again is closed, and the server told so.
    this.shouldKeepAlive = this.agent !== undefined &&
      (this.agent.keepAlive === true || Number.isFinite(this.agent.maxSockets));
    this._uniqueHeaders = readUniqueHeaders(given.uniqueHeaders);
    if (read.callback !== undefined) this.once("response", read.callback as ResponseListener);
    const servesBoth = servesBothSchemes(this.agent);
    const defaultPort = given.defaultPort || (servesBoth ? defaultAgent : this.agent)?.defaultPort;
    const port = given.port || defaultPort || 80;
    checkPlace(given, this.agent, port);
    const head = setHeaders(this, given, port, defaultPort);
    if (head !== undefined) this._makeHead(this.#startLine, head);
    // RFC 9110 section 10.1.1: the head goes ahead of the body.
    else if (this._peekHeader("expect")) this._implicitHeader();
    if (given.signal) {
      this.#unlisten = onAbort(given.signal, (reason) => void this.destroy(new AbortError(reason)));
    }
    // An object of our own: it may be written to.
    given.host = this.host;
    given.port = port;
    if (servesBoth) given["secureEndpoint"] = this.protocol === "https:";
    if (!this.destroyed) this.#findConnection(given);
    if (created.hasSubscribers) created.publish({ request: this });
  }

  get #startLine(): string {
    return `${this.method} ${this.#path} HTTP/1.1`;
  }

  /** The request target. ERR_UNESCAPED_CHARACTERS. */
  get path(): string {
    return this.#path;
  }

  set path(path: string) {
    this.#path = readPath(path);
  }

  /** The stream of the connection; null until 'socket'. */
  override get socket(): unknown {
    if (this.#stream !== null) return this.#stream;
    return this.#exchange?.isAnnounced === true ? this.#exchange.socket ?? null : null;
  }

  override set socket(socket: unknown) {
    this.#stream = socket;
  }

  /** CONNECT: bytes for the tunnel. */
  override get _isTunnel(): boolean {
    return this.method === "CONNECT";
  }

  /** Makes the head of what is known. */
  override _implicitHeader(): void {
    // An object that OutgoingMessage alone has made, a mock's, is never sent and has no path of ours.
    const { method } = this;
    this._makeHead(#path in this ? this.#startLine : `${method} / HTTP/1.1`);
  }

  /** The last byte has been handed over: 'prefinish'. */
  override _finish(): void {
    super._finish();
    if (started.hasSubscribers) started.publish({ request: this });
  }

  // The connection.

  #findConnection(options: RequestOptions): void {
    const passed = options.signal === undefined ? options : withoutSignal(options);
    if (this.agent !== undefined) {
      // Node's has no prototype. Ours copies it anyway, and a plain one is copied faster.
      const isOurs = !isReplaced(this.agent.addRequest);
      if (!isOurs) return this.agent.addRequest(this, Object.assign(Object.create(null), passed));
      this.#given = passed;
      return this.agent.addRequest(this, passed);
    }
    const { socketPath } = passed;
    if (socketPath) passed.path = socketPath;
    else if (passed.path) passed.path = undefined;
    askForStream(options.createConnection!, passed, (error, stream) => this.onSocket(stream, error));
  }

  /** For our own agents: `options` are an object of the request's own. */
  _owns(options: object): boolean {
    return this.#given === options;
  }

  /** For our own agents: the request is an exchange. */
  _dispatchTo(dispatcher: Dispatcher, endpoint: Endpoint): void {
    // A request is one exchange; whoever hands it to a second agent gets no second.
    if (this.destroyed || this.#exchange !== undefined) return;
    this.#dispatcher = dispatcher;
    this.#endpoint = endpoint;
    this.#dispatch(false);
  }

  #dispatch(isFresh: boolean): void {
    this.#tries++;
    const exchange = this.#exchange = new RequestExchange(this, this.#context, viewOf);
    exchange.bind(this.#dispatcher!.dispatch(exchange, this.#endpoint!, { fresh: isFresh }));
  }

  /** For all other agents: `socket` carries the request, or `error` says why there is none. */
  onSocket(socket: unknown, error?: Error | null): void {
    const stream = socket as StreamLike | null | undefined;
    if (stream && !error) {
      // The runtime's own Agent and agents made from it read it off their sockets (http.Agent, 'free').
      stream._httpMessage = this;
      stream.on("error", ignore);
    }
    nextTick(() => this.#takeStream(stream ?? undefined, error ?? undefined));
  }

  #takeStream(stream: StreamLike | undefined, error: Error | undefined): void {
    stream?.off("error", ignore);
    this.#streamError = (stream as { errored?: Error | null } | undefined)?.errored ?? null;
    if (!this.destroyed && error === undefined && stream !== undefined) {
      this.#isDuplex = true;
      this.#stream = stream;
      const exchange = this.#exchange = new RequestExchange(this, this.#context, () => stream, stream);
      exchange.bind(new DuplexExchange(exchange, stream as unknown as Duplex));
      return;
    }
    if (stream !== undefined) {
      if (error === undefined && this.agent !== undefined && !stream.destroyed) stream.emit("free");
      else stream.on("error", ignore).destroy(error);
    }
    // Whoever destroyed it is told by destroy().
    if (this.destroyed) return;
    this.destroyed = true;
    this._onFailure(error ?? connectionReset("socket hang up"));
  }

  // The end.

  /** Ends the request at whatever stage it is: 'error' with `error`, or ECONNRESET where there is no response yet; 'close'. */
  override destroy(error?: Error): this {
    if (this.destroyed) return this;
    this.destroyed = true;
    this._setErrored(error ?? null);
    // Nobody cares about the rest of the response.
    this.res?._dump();
    const hasSocket = this.socket !== null;
    // Who destroys it may be somebody else.
    const tell = (): void => run(this.#context, this.#tellDestroyed, this, hasSocket);
    // As in Node, where the socket's 'close' brings it, a turn later.
    if (hasSocket && error === undefined) nextTurn(tell);
    else nextTick(tell);
    if (this.#exchange !== undefined) this.#exchange.abort(error ?? null);
    else nextTick(() => run(this.#context, this._onClose, this, undefined));
    return this;
  }

  #tellDestroyed(hasSocket: boolean): void {
    if (this._closed || this._hasFailed) return;
    const errored = this.#streamError ?? this.errored;
    // As Node, which waits for a stream that may never come: nobody who does not listen is hurt.
    if (this.#exchange === undefined && this.listenerCount("error") === 0) return;
    if (errored !== null) this._onError(errored);
    else if (this.res === null && (hasSocket || !this.aborted)) {
      this._onError(connectionReset("socket hang up"));
    }
  }

  /** Ends the request: 'abort', 'close'. @deprecated Use destroy(). */
  abort(): void {
    if (this.aborted) return;
    this.aborted = true;
    const hasSocket = this.socket !== null;
    const tell = (): void => void this.emit("abort");
    if (hasSocket) nextTick(tell);
    this.destroy();
    // Behind the 'close' of a request that had no connection yet.
    if (!hasSocket) nextTick(() => nextTick(tell));
  }

  // What the exchange tells.

  /** The connection is not to be used again, whatever the server says. */
  get _isLast(): boolean {
    return this._last || !this._isBodyExact;
  }

  /** All of the request has gone to the system. */
  get _isSent(): boolean {
    return this._isFinishEmitted;
  }

  /** A socket is known. */
  _onSocket(isReused: boolean): void {
    // On a borrowed stream the agent has said so, by its reuseSocket().
    if (!this.#isDuplex) this.reusedSocket = isReused;
    if (this.#timeout !== undefined || timeoutOption(this)) {
      this.#anyTimeout.start(this.#dispatcher?.clock, this.#isDuplex);
    }
    // The stream is made when somebody wants it.
    if (this.listenerCount("socket") > 0 || this.emit !== EventEmitter.prototype.emit) {
      this.emit("socket", this.socket);
    }
    this._announceSink();
  }

  /** The connection is open. */
  _onOpen(sink: MessageSink): void {
    this.#isOpen = true;
    this.#timeout?.open(this.#isDuplex);
    const mayRetry = this.#retry !== false && this.reusedSocket && this.#dispatcher !== undefined;
    this._attachSink(sink, mayRetry);
  }

  /** The sink's bytes have gone to the system. */
  _onDrain(): void {
    this._onSinkDrain();
  }

  /** A byte of an answer is here. */
  _onAnswer(): void {
    this._forgetSent();
  }

  /** The connection is about to be the user's. */
  _onHandOver(): void {
    this.#timeout?.stop();
  }

  /** The response has been consumed. */
  _onEnd(): void {
    if (this._ended) return;
    this._ended = true;
    this.#timeout?.stop();
    // The server has answered: the rest of an upload is not wanted, and of a connection that is gone nothing more is told.
    const isGone = this.#exchange?.isOver === true;
    if (this.finished && !this._isFinishEmitted && !this.destroyed && !isGone) {
      this.once("finish", () => this.#giveBack());
    } else this.#giveBack();
  }

  #giveBack(): void {
    const exchange = this.#exchange;
    // What has not been sent by now is not wanted any more, and the connection closes with it.
    if (!this.finished) this._dropOutput();
    else if (this.shouldKeepAlive) {
      this.destroyed = true;
      nextTick(() => {
        this._onClose();
        const stream = exchange?.shownStream as StreamLike | undefined;
        const isGone = exchange?.isOver === true || stream?.destroyed === true;
        exchange?.release(false);
        // As Node, which leaves it to the agent to look at what it gets back.
        if (isGone) stream?.emit("free");
      });
      return;
    }
    // Node's 'close' is the socket's.
    const closing = this.#closing;
    const close = this.#isDuplex ? (): void => this._onClose() : (): void => nextTurn(() => this._onClose());
    // Closed before it was known that the request had gone: Node's TLS says so a turn late.
    if (closing === null || (closing as Partial<Duplex>).closed === true) nextTick(close);
    else closing.once("close", close);
    exchange?.release(true);
  }

  // Whose 'close' is the request's, where the connection closes behind it.
  get #closing(): EventEmitter | null {
    return this.#isDuplex ? this.#stream as EventEmitter : this.res;
  }

  /** Something to say by 'error'. */
  _onError(error: Error): void {
    if (failed.hasSubscribers) failed.publish({ request: this, error });
    this.emit("error", error);
  }

  /** 'error', then, a turn later, 'close', as Node's socket brings it: who waits for the one may wait for the other then. */
  _onFailure(error: Error): void {
    this._hasFailed = true;
    try {
      this._onError(error);
    } finally {
      nextTurn(() => run(this.#context, this._onClose, this, undefined));
    }
  }

  /** It is over. */
  _onClose(): void {
    if (this._closed) return;
    this.destroyed = true;
    this._closed = true;
    this.#timeout?.stop();
    this.#unlisten?.();
    this._dropOutput();
    this.emit("close");
  }

  /** RFC 9110 section 9.2.2: a request that a kept connection lost before any answer goes once more, over a new one. */
  _triesAgain(error: Error, control: ExchangeControl | undefined, isReused: boolean): boolean {
    if (this.#dispatcher === undefined || this.#retry === false || control === undefined) return false;
    if ((error as { code?: unknown }).code === "ERR_AGENT_DESTROYED") return false;
    if (!isRepeatable(this, { control, isReused, mayRewind: this._canRewind, tries: this.#tries })) {
      return false;
    }
    this._rewind();
    this.#timeout?.stop();
    this.#dispatch(true);
    return true;
  }

  // Time.

  /** Has 'timeout' emitted after so much inactivity of the connection, ms, from when it is open; 0: not any more. */
  override setTimeout(msecs: number, callback?: () => void): this {
    if (this._ended) return this;
    const ms = readTimeout(msecs, "msecs");
    if (callback !== undefined) this.once("timeout", callback);
    this.#anyTimeout.set(ms);
    return this;
  }

  get #anyTimeout(): RequestTimeout {
    return this.#timeout ??= new RequestTimeout(this, this.#context, this.#isOpen);
  }

  /** setTimeout(0). */
  clearTimeout(callback?: () => void): void {
    this.setTimeout(0, callback);
  }

  /** Emits 'timeout'; a listener of the stream while somebody may wait for it. */
  timeoutCb: (() => void) | null = null;

  /** TCP_NODELAY, now or when there is a connection. */
  setNoDelay(noDelay: boolean = true): void {
    whenConnected(this, (stream) => stream.setNoDelay?.(noDelay));
  }

  /** TCP keep-alive, now or when there is a connection. */
  setSocketKeepAlive(enable: boolean = false, initialDelay: number = 0): void {
    whenConnected(this, (stream) => stream.setKeepAlive?.(enable, initialDelay));
  }
}

function ignore(): void {
  // An error before the request has its stream comes again with it: the stream is destroyed.
}
