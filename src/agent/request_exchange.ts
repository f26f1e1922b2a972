/**
 * One lean request from its first attempt to the last byte of its response. Owns the promise, the attempts, the
 * deadlines, the abort signal and the two bodies' ends. Knows no Agent, connection or pool.
 *
 * Strategy: one object is the exchange of every attempt, so that the common request allocates little. The connection
 * of a failed attempt has let go of it when `onError` comes, and the next attempt is dispatched from there. A hundred thousand of
 * them may wait for a place: what only a request under way needs is made when it is first needed.
 *
 * @module
 */

import { onAbort } from "./abort_listeners.ts";
import { type AgentResponse, LeanResponse } from "./lean_response.ts";
import { ContentDecoder, readCodings } from "./content_coding.ts";
import {
  AbortError,
  AgentDestroyedError,
  BodySourceError,
  ConnectionClosedError,
  type FailureFacts,
  tellFacts,
  type TimeoutError,
  type TimeoutPhase,
} from "./core/errors.ts";
import type { BodyFraming } from "./core/framing.ts";
import type { HeaderBlock, IncomingHeaders } from "./core/headers.ts";
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
import { RequestMoments, type RequestTimings } from "./request_timings.ts";
import { Upload, type UploadOwner } from "./request_upload.ts";
import { type BodySink, type BodySource, BufferedBody } from "./response_body.ts";
import type { Timer } from "../clock.ts";
import { SocketError } from "../runtime/errors.ts";
import { capture, type Context, run } from "../runtime/context.ts";

/** See the file's comment. */
export class LeanExchange implements Exchange, LastingRequest, UploadOwner, BodySource, DeadlineOwner {
  prev: LastingRequest | undefined = undefined;
  next: LastingRequest | undefined = undefined;
  /** Settles with the head, or with what kept it from coming. */
  readonly response: Promise<AgentResponse>;
  readonly #dispatcher: Dispatcher;
  readonly #endpoint: Endpoint;
  readonly #plan: RequestPlan;
  readonly #init: AgentRequestInit;
  /** Made for the first phase that has a limit: whoever waits for a place may have none. */
  #deadlines: Deadlines | undefined;
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
  /** Of the attempt under way, from when it has a connection, or one is made for it. */
  #moments: RequestMoments | undefined;

  /** Sends nothing yet. */
  constructor(dispatcher: Dispatcher, endpoint: Endpoint, plan: RequestPlan, init: AgentRequestInit) {
    this.#dispatcher = dispatcher;
    this.#endpoint = endpoint;
    this.#plan = plan;
    this.#init = init;
    this.#madeMs = dispatcher.clock.now();
    if (plan.limits.total !== Infinity) this.#deadlines = new Deadlines(dispatcher.clock, plan.limits, this);
    this.#context = plan.isUpload || init.onInformational !== undefined ? capture() : undefined;
    this.response = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  // What the connection asks.

  get method(): string {
    return this.#plan.method;
  }

  get head(): Uint8Array {
    return this.#plan.head;
  }

  get body(): Uint8Array | undefined {
    return this.#plan.bytes;
  }

  get hasMore(): boolean {
    return this.#plan.isUpload;
  }

  get isLast(): boolean {
    return this.#plan.isLast;
  }

  get allowTruncatedTls(): boolean {
    return this.#init.allowTruncatedTls === true;
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
    this.#moments = new RequestMoments();
    this.#moments.foundMs = now;
    this.#isConnecting = true;
    this.#enter("connect", now);
  }

  onStart(control: ExchangeControl, isReused: boolean): void {
    const now = this.#dispatcher.clock.now();
    this.#control = control;
    this.#isReused = isReused;
    const moments = this.#moments ??= new RequestMoments();
    if (isReused) moments.foundMs = now;
    else {
      moments.openMs = now;
      moments.opening = control.socket.info?.opening;
    }
    if (!this.#plan.isUpload) {
      moments.sentMs = now;
      this.#enter("headers", now);
    } else if (this.#plan.continueTimeoutMs === undefined) {
      this.#beginUpload();
    } else {
      // Holds the process: until it fires the peer may well say nothing at all.
      this.#enter(undefined, now);
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
    this.#moments!.headMs = now;
    // A final response instead of 100 (Continue): the body is not wanted.
    if (this.#continueTimer !== undefined) {
      this.#endUpload(new AbortError("The server did not ask for the body"));
    }
    this.#enter(this.#upload === undefined ? "body" : undefined, now);
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
    if (this.#upload === undefined && !this.#isDone) this.#enter(isSlowReader ? undefined : "body");
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
    if (this.#upload === undefined) this.#enter("body");
    this.#control!.resume();
  }

  abortBody(error: Error): void {
    // A coding may turn out to be broken when the connection has long been done.
    if (this.#isDone) tellFacts(error, this.facts);
    else this.#abort(error);
  }

  // What the request's body says.

  onUploadWaiting(isForPeer: boolean): void {
    if (!this.#isDone) this.#enter(isForPeer ? "body" : undefined);
  }

  onUploadEnd(): void {
    this.#upload = undefined;
    if (this.#isDone) return;
    const now = this.#dispatcher.clock.now();
    this.#moments!.sentMs = now;
    this.#enter(this.#sink === undefined ? "headers" : "body", now);
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
    return this.#moments!.since(this.#madeMs, this.#endpoint.connect.tls !== undefined);
  }

  #attempt(options: DispatchOptions | undefined): void {
    this.#attempts++;
    this.#dispatched = this.#control = undefined;
    this.#isReused = false;
    this.#moments = undefined;
    this.#isConnecting = false;
    this.#dispatched = this.#dispatcher.dispatch(this, this.#endpoint, options);
    if (this.#control === undefined && !this.#isConnecting) this.#enter("pool");
  }

  #enter(phase: TimeoutPhase | undefined, nowMs?: number): void {
    if (this.#deadlines === undefined) {
      const { limits } = this.#plan;
      if (phase === undefined || limits[phase] === Infinity) return;
      this.#deadlines = new Deadlines(this.#dispatcher.clock, limits, this);
    }
    this.#deadlines.enter(phase, nowMs);
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
    if (this.#moments !== undefined) this.#moments.endMs = this.#dispatcher.clock.now();
    this.#deadlines?.stop();
    // Who waited long is old, and V8 takes what is new and held by what is old for alive, even by what is dead.
    this.#deadlines = undefined;
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
    this.#enter(undefined);
    this.#retryTimer = this.#dispatcher.clock.after(delayMs, () => {
      this.#retryTimer = undefined;
      this.#attempt(FRESH);
    }, { ref: true });
  }
}

const FRESH: DispatchOptions = { fresh: true };
const TAKEN: DispatchOptions = { isTaken: true };
const NO_FIELDS: IncomingHeaders = Object.freeze(Object.create(null));
