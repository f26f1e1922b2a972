/**
 * One lean request from its first attempt to the last byte of its response. Owns the promise, the attempts, the
 * deadlines, the abort signal and the two bodies' ends. Knows no Agent, connection or pool.
 *
 * Strategy: one object is the exchange of every attempt, so that the common request allocates little. The connection
 * of a failed attempt has let go of it when `onError` comes, and the next attempt is dispatched from there.
 *
 * @module
 */

import { onAbort } from "./abort_listeners.ts";
import { ContentDecoder, readCodings } from "./content_coding.ts";
import {
  AbortError,
  AgentDestroyedError,
  BodySourceError,
  ConnectionClosedError,
  type FailureFacts,
  tellFacts,
  type TimeoutError,
} from "./core/errors.ts";
import type { BodyFraming } from "./core/framing.ts";
import type { HeaderBlock, IncomingHeaders } from "./core/headers.ts";
import type { Link } from "./core/linked_list.ts";
import type { ResponseHead } from "./core/response_parser.ts";
import { retryVerdict } from "./core/retry.ts";
import { type DeadlineOwner, Deadlines } from "./deadlines.ts";
import type {
  Dispatched,
  Dispatcher,
  DispatchOptions,
  Endpoint,
  Exchange,
  ExchangeControl,
  LastingRequest,
} from "./exchange.ts";
import { type AgentRequestInit, hasIdempotencyKey, type RequestPlan } from "./request_plan.ts";
import { Upload, type UploadOwner } from "./request_upload.ts";
import { type BodySink, type BodySource, BufferedBody, type ResponseBody } from "./response_body.ts";
import type { Timer } from "../clock.ts";
import { SocketError } from "../runtime/errors.ts";
import type { SocketOpening } from "../runtime/socket.ts";
import { capture, type Context, run } from "../runtime/context.ts";

/**
 * Moments of a request in ms since the call, in the order in which they come; after a retry those of the last attempt,
 * since the same call. Undefined: it has not come to that, there was nothing of the kind, or it cannot be told.
 */
export interface RequestTimings {
  /** The wait for a place under the caps was over: a connection was found, or began to be made. */
  readonly queued: number | undefined;
  /**
   * The name was looked up; undefined for an address, a unix socket and a reused connection, and where the adapter cannot
   * tell (capability `tellsLookup`: the runtimes' own sockets of Deno and Bun; the look-up is then a part of `connect`).
   */
  readonly dns: number | undefined;
  /**
   * The connection stood, and TLS began, if there is any; undefined for a reused one, and where `createConnection` gave a
   * stream that speaks TLS.
   */
  readonly connect: number | undefined;
  /** TLS was ready and the server verified; undefined on a plain connection and a reused one. */
  readonly tls: number | undefined;
  /** The last byte of the request was given to the socket, which may still have to send it. */
  readonly sent: number | undefined;
  /** The final response's head was there, whole: the promise resolves. */
  readonly firstByte: number | undefined;
  /** The response was complete, read or not. */
  readonly end: number | undefined;
}

/** A response whose head has come; its body is on the way. */
export interface AgentResponse {
  /** 200 to 999: interim responses are not shown. */
  readonly status: number;
  /** The reason phrase; may be empty. */
  readonly statusText: string;
  /** As Node's `message.headers`: lower-cased names, duplicates joined, `set-cookie` an array. */
  readonly headers: IncomingHeaders;
  /** Names and values in turn, as received. */
  readonly rawHeaders: readonly string[];
  /** Fields behind a chunked body, as `headers`; empty until the body has come to its end. */
  readonly trailers: IncomingHeaders;
  /** Must be read or dumped, so that the connection can serve others. */
  readonly body: ResponseBody;
  /** The connection had carried a request before. */
  readonly reusedSocket: boolean;
  /** When what happened. */
  readonly timings: RequestTimings;
}

/** See the file's comment. */
export class LeanExchange implements Exchange, LastingRequest, UploadOwner, BodySource, DeadlineOwner {
  readonly method: string;
  readonly head: Uint8Array;
  readonly body: Uint8Array | undefined;
  readonly hasMore: boolean;
  readonly isLast: boolean;
  readonly allowTruncatedTls: boolean;
  /** {@linkcode LastingRequest}. */
  place: Link<LastingRequest> | undefined;
  /** Settles with the head, or with what kept it from coming. */
  readonly response: Promise<AgentResponse>;
  readonly #dispatcher: Dispatcher;
  readonly #endpoint: Endpoint;
  readonly #plan: RequestPlan;
  readonly #init: AgentRequestInit;
  readonly #deadlines: Deadlines;
  /** Where the caller's own code is called back; undefined: it is not. */
  readonly #context: Context | undefined;
  #resolve!: (response: AgentResponse) => void;
  #reject!: (error: Error) => void;
  #leaveSignal: (() => void) | undefined;
  #dispatched: Dispatched | undefined;
  #control: ExchangeControl | undefined;
  #upload: Upload | undefined;
  #hasOpenedBody = false;
  #retryTimer: Timer | undefined;
  #continueTimer: Timer | undefined;
  #sink: BodySink | undefined;
  #body: BufferedBody | undefined;
  #trailers: HeaderBlock | undefined;
  #attempts = 0;
  #isReused = false;
  #isConnecting = false;
  /** By us: no failure after it is the connection's. */
  #isAborted = false;
  #isDone = false;
  readonly #madeMs: number;
  #foundMs: number | undefined;
  #openMs: number | undefined;
  #opening: SocketOpening | undefined;
  #sentMs: number | undefined;
  #headMs: number | undefined;
  #endMs: number | undefined;

  /** Sends nothing yet. */
  constructor(dispatcher: Dispatcher, endpoint: Endpoint, plan: RequestPlan, init: AgentRequestInit) {
    this.#dispatcher = dispatcher;
    this.#endpoint = endpoint;
    this.#plan = plan;
    this.#init = init;
    this.method = plan.method;
    this.head = plan.head;
    this.body = plan.bytes;
    this.hasMore = plan.isUpload;
    this.isLast = plan.isLast;
    this.allowTruncatedTls = init.allowTruncatedTls === true;
    this.#madeMs = dispatcher.clock.now();
    this.#deadlines = new Deadlines(dispatcher.clock, plan.limits, this);
    this.#context = plan.isUpload || init.onInformational !== undefined ? capture() : undefined;
    this.response = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  /** The first attempt; `isTaken`: of a request that the dispatcher has taken before. */
  send(isTaken: boolean): void {
    const { signal } = this.#init;
    if (signal !== undefined && signal !== null) {
      this.#leaveSignal = onAbort(signal, () => this.#abort(new AbortError(signal.reason)));
    }
    this.#dispatcher.onRequestStart?.(this);
    this.#attempt(isTaken ? TAKEN : undefined);
  }

  /** {@linkcode LastingRequest}: by the dispatcher. */
  abort(error: Error): void {
    this.#abort(error);
  }

  // What the connection says.

  onConnecting(): void {
    const now = this.#dispatcher.clock.now();
    this.#foundMs = now;
    this.#isConnecting = true;
    this.#deadlines.enter("connect", now);
  }

  onStart(control: ExchangeControl, isReused: boolean): void {
    const now = this.#dispatcher.clock.now();
    this.#control = control;
    this.#isReused = isReused;
    if (isReused) this.#foundMs = now;
    else {
      this.#openMs = now;
      this.#opening = control.socket.info?.opening;
    }
    if (!this.#plan.isUpload) {
      this.#sentMs = now;
      this.#deadlines.enter("headers", now);
    } else if (this.#plan.continueTimeoutMs === undefined) {
      this.#beginUpload();
    } else {
      // Holds the process: until it fires the peer may well say nothing at all.
      this.#deadlines.enter(undefined, now);
      this.#continueTimer = this.#dispatcher.clock.after(
        this.#plan.continueTimeoutMs,
        () => this.#beginUpload(),
        { ref: true },
      );
    }
  }

  onDrain(): void {
    this.#upload?.onDrain();
  }

  onInformational(head: ResponseHead): void {
    if (head.status === 100 && this.#continueTimer !== undefined) this.#beginUpload();
    const { onInformational } = this.#init;
    if (onInformational === undefined) return;
    const { status, statusText, headers } = head;
    const response = { status, statusText, headers: headers.headers, rawHeaders: headers.rawHeaders };
    try {
      run(this.#context!, onInformational, undefined, response);
    } catch (error) {
      // The caller's own fault is the caller's own error.
      this.#abort(error as Error);
    }
  }

  onHead(head: ResponseHead, framing: BodyFraming): void {
    const now = this.#dispatcher.clock.now();
    this.#headMs = now;
    // A final response instead of 100 (Continue): the body is not wanted.
    if (this.#continueTimer !== undefined) {
      this.#endUpload(new AbortError("The server did not ask for the body"));
    }
    this.#deadlines.enter(this.#upload === undefined ? "body" : undefined, now);
    let decoder: ContentDecoder | undefined;
    try {
      decoder = this.#decoder(head, framing);
    } catch (error) {
      return this.#abort(error as Error);
    }
    const length = framing.kind === "length" && decoder === undefined ? framing.length : undefined;
    const { lentOutlastsCall } = this.#control!.socket.info ?? {};
    const outlastsCall = decoder === undefined && lentOutlastsCall === true;
    const body = this.#body = new BufferedBody(decoder ?? this, framing.kind, length, outlastsCall);
    decoder?.connect(body);
    this.#sink = decoder ?? body;
    this.#resolve(new LeanResponse(this, head, body, this.#isReused));
  }

  onBody(chunk: Uint8Array): boolean {
    const goesOn = this.#sink!.push(chunk);
    // A reader who has begun may take his time; a body that nobody reads may not.
    const isSlowReader = !goesOn && this.#body!.bodyUsed;
    if (this.#upload === undefined && !this.#isDone) this.#deadlines.enter(isSlowReader ? undefined : "body");
    return goesOn;
  }

  onComplete(trailers: HeaderBlock | undefined): void {
    this.#trailers = trailers;
    this.#finish(undefined);
    this.#sink!.complete();
  }

  onError(failure: Error): void {
    if (this.#isDone) return;
    // The pool tells all of its requests by one error; the facts are each request's own.
    let error = failure instanceof AgentDestroyedError ? new AgentDestroyedError() : failure;
    try {
      if (this.#body === undefined && this.#retries(error)) return;
    } catch (thrown) {
      // The caller's own fault is the caller's own error.
      error = thrown as Error;
    }
    const { facts } = this;
    this.#finish(error);
    tellFacts(error, facts);
    if (error instanceof SocketError) Object.assign(error, facts);
    if (this.#sink === undefined) this.#reject(error);
    else this.#sink.fail(error);
  }

  // What the response's reader says.

  resumeBody(): void {
    if (this.#isDone) return;
    if (this.#upload === undefined) this.#deadlines.enter("body");
    this.#control!.resume();
  }

  abortBody(error: Error): void {
    // A coding may turn out to be broken when the connection has long been done.
    if (this.#isDone) tellFacts(error, this.facts);
    else this.#abort(error);
  }

  // What the request's body says.

  onUploadWaiting(isForPeer: boolean): void {
    if (!this.#isDone) this.#deadlines.enter(isForPeer ? "body" : undefined);
  }

  onUploadEnd(): void {
    this.#upload = undefined;
    if (this.#isDone) return;
    const now = this.#dispatcher.clock.now();
    this.#sentMs = now;
    this.#deadlines.enter(this.#sink === undefined ? "headers" : "body", now);
  }

  onUploadError(error: Error): void {
    this.#abort(error);
  }

  // What the clock says.

  onTimeout(error: TimeoutError): void {
    if (error.phase === "body" && this.#body?.isPaused === true && !this.#body.bodyUsed) {
      this.#dispatcher.onUnreadBody?.();
    }
    this.#abort(error);
  }

  // What the response shows.

  /** How far the last attempt came. */
  get facts(): FailureFacts {
    return {
      reusedSocket: this.#isReused,
      bytesWritten: this.#control?.bytesWritten ?? 0,
      bytesRead: this.#control?.bytesRead ?? 0,
      attempts: this.#attempts,
    };
  }

  /** The fields behind the body, once it is there. */
  get trailers(): IncomingHeaders {
    return this.#trailers?.headers ?? NO_FIELDS;
  }

  /** When what happened. */
  get timings(): RequestTimings {
    const since = (ms: number | undefined): number | undefined =>
      ms === undefined ? undefined : ms - this.#madeMs;
    const { dns, connect, tls } = this.#stages;
    return {
      queued: since(this.#foundMs),
      dns: since(dns),
      connect: since(connect),
      tls: since(tls),
      sent: since(this.#sentMs),
      firstByte: since(this.#headMs),
      end: since(this.#endMs),
    };
  }

  /** The stages of the connect, by the clock: the last one is over when the connection is open, and the adapter says how long each took. */
  get #stages(): { dns?: number | undefined; connect?: number | undefined; tls?: number | undefined } {
    const openMs = this.#openMs;
    if (openMs === undefined) return {};
    const { lookupMs, connectMs, tlsMs } = this.#opening ?? {};
    const isTls = this.#endpoint.connect.tls !== undefined;
    const connect = !isTls ? openMs : tlsMs === undefined ? undefined : openMs - tlsMs;
    const hasLookup = lookupMs !== undefined && connectMs !== undefined && connect !== undefined;
    return { dns: hasLookup ? connect - connectMs : undefined, connect, tls: isTls ? openMs : undefined };
  }

  #attempt(options: DispatchOptions | undefined): void {
    this.#attempts++;
    this.#dispatched = this.#control = undefined;
    this.#isReused = false;
    this.#openMs = this.#sentMs = undefined;
    this.#isConnecting = false;
    this.#dispatched = this.#dispatcher.dispatch(this, this.#endpoint, options);
    if (this.#control === undefined && !this.#isConnecting) this.#deadlines.enter("pool");
  }

  #decoder(head: ResponseHead, framing: BodyFraming): ContentDecoder | undefined {
    if (this.#init.decode !== true || framing.kind === "none") return undefined;
    const codings = readCodings(head.headers.get("content-encoding"));
    return codings.length === 0 ? undefined : new ContentDecoder(codings, this);
  }

  #beginUpload(): void {
    this.#stopWaiting();
    this.#hasOpenedBody = true;
    let upload: Upload;
    try {
      upload = new Upload(this.#plan.body!.open(), this.#control!, this.#plan.contentLength, this);
    } catch (error) {
      // A stream that somebody has locked since, or a function that makes bodies no more.
      return this.#abort(error instanceof BodySourceError ? error : new BodySourceError(error));
    }
    this.#upload = upload;
    // The source is the caller's code.
    void run(this.#context!, upload.run, upload, undefined);
  }

  /** The body is not wanted any more, whether or not its source was opened. */
  #endUpload(reason: Error): void {
    this.#stopWaiting();
    const upload = this.#upload;
    this.#upload = undefined;
    if (upload !== undefined) upload.stop(reason);
    else if (this.#plan.isUpload && !this.#hasOpenedBody) this.#plan.body!.discard(reason);
  }

  #stopWaiting(): void {
    this.#continueTimer?.cancel();
    this.#continueTimer = undefined;
  }

  /** Ends the exchange: nothing is left that could call. */
  #finish(reason: Error | undefined): void {
    this.#isDone = true;
    this.#endMs = this.#dispatcher.clock.now();
    this.#deadlines.stop();
    this.#retryTimer?.cancel();
    this.#leaveSignal?.();
    if (this.#plan.isUpload) {
      this.#endUpload(reason ?? new AbortError("The response came before the request's end"));
    }
    this.#dispatcher.onRequestEnd?.(this);
  }

  /** Ends it at whatever stage it is; settles at once. */
  #abort(error: Error): void {
    if (this.#isDone) return;
    this.#isAborted = true;
    if (this.#retryTimer !== undefined) this.onError(error);
    // Inside dispatch() there is nothing yet to abort by.
    else if (this.#dispatched === undefined) queueMicrotask(() => this.#dispatched?.abort(error));
    else this.#dispatched.abort(error);
  }

  /** True where another attempt is under way, or will be. */
  #retries(error: Error): boolean {
    if (!(error instanceof SocketError || error instanceof ConnectionClosedError)) return false;
    const { method, body, isUpload, retryPolicy, mayRetry } = this.#plan;
    const { reusedSocket, bytesWritten, bytesRead } = this.facts;
    const attempts = this.#attempts;
    const verdict = retryVerdict({
      method,
      hasIdempotencyKey: hasIdempotencyKey(this.#plan),
      reused: reusedSocket,
      bytesWritten,
      bytesRead,
      bodyReplayable: !isUpload || body!.isReplayable || !this.#hasOpenedBody,
      userDestroyed: this.#isAborted,
      tries: attempts,
      policy: retryPolicy,
    });
    if (!verdict.retry) return false;
    const answer = mayRetry?.({ error, method, attempts, reusedSocket, bytesWritten }) ?? true;
    if (answer === false) return false;
    this.#upload?.stop(error);
    this.#upload = undefined;
    this.#stopWaiting();
    if (typeof answer === "number") this.#attemptLater(answer);
    else this.#attempt(FRESH);
    return true;
  }

  #attemptLater(delayMs: number): void {
    this.#deadlines.enter(undefined);
    this.#retryTimer = this.#dispatcher.clock.after(delayMs, () => {
      this.#retryTimer = undefined;
      this.#attempt(FRESH);
    }, { ref: true });
  }
}

const FRESH: DispatchOptions = { fresh: true };
const TAKEN: DispatchOptions = { isTaken: true };
const NO_FIELDS: IncomingHeaders = Object.freeze(Object.create(null));

/** Header objects are made when first asked for: most callers read few of them, or none. */
class LeanResponse implements AgentResponse {
  readonly body: ResponseBody;
  readonly reusedSocket: boolean;
  readonly #head: ResponseHead;
  readonly #exchange: LeanExchange;
  #headers: IncomingHeaders | undefined;
  #rawHeaders: readonly string[] | undefined;

  constructor(exchange: LeanExchange, head: ResponseHead, body: ResponseBody, reusedSocket: boolean) {
    this.#exchange = exchange;
    this.#head = head;
    this.body = body;
    this.reusedSocket = reusedSocket;
  }

  get status(): number {
    return this.#head.status;
  }

  get statusText(): string {
    return this.#head.statusText;
  }

  get headers(): IncomingHeaders {
    return this.#headers ??= this.#head.headers.headers;
  }

  get rawHeaders(): readonly string[] {
    return this.#rawHeaders ??= this.#head.headers.rawHeaders;
  }

  get trailers(): IncomingHeaders {
    return this.#exchange.trailers;
  }

  get timings(): RequestTimings {
    return this.#exchange.timings;
  }
}
