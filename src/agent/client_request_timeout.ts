/**
 * The 'timeout' of a ClientRequest: by its option, by its agent's, by setTimeout() of the request.
 *
 * Owns which stream's time of inactivity is listened to, the timer that stands for it while a connection is made, and the
 * listeners, which all go in stop(). Ends nothing: 'timeout' is only told (Node's http document, "request.setTimeout()").
 *
 * Strategy: before the connection is open its stream is not the adapter's own, so none is made for the sake of a timeout.
 *
 * @module
 */

import type { EventEmitter } from "node:events";
import { type AgentLike, readDuration } from "./client_request_options.ts";
import type { Clock, Timer } from "../clock.ts";
import { type Context, run } from "../runtime/context.ts";
import { emitWarning } from "../runtime/mod.ts";

/** What a stream of a connection may have; a Duplex of a user's own may lack all of it. */
export interface StreamLike extends EventEmitter {
  /** The connection is being made. */
  readonly connecting?: boolean;
  /** destroy() was called. */
  readonly destroyed?: boolean;
  /** Ends it. */
  destroy(error?: Error): void;
  /** Time of inactivity, ms. */
  setTimeout?(ms: number): void;
  /** TCP_NODELAY. */
  setNoDelay?(on?: boolean): void;
  /** TCP keep-alive. */
  setKeepAlive?(on?: boolean, initialDelay?: number): void;
  /** The request that it carries. */
  _httpMessage?: unknown;
}

/** What {@linkcode RequestTimeout} asks of its request. */
export interface TimedRequest {
  /** The listener of a stream while somebody may wait for it. */
  timeoutCb: (() => void) | null;
  /** The option, ms. */
  readonly timeout: number | undefined;
  /** Whose option counts where the request has none. */
  readonly agent: AgentLike | undefined;
  /** The connection had served another request before. */
  readonly reusedSocket: boolean;
  /** The connection is wanted for further requests. */
  readonly shouldKeepAlive: boolean;
  /** The stream of the connection. */
  readonly socket: unknown;
  /** Somebody who sees the stream. */
  listenerCount(event: string): number;
  /** Emits 'timeout'. */
  emit(event: string): boolean;
}

/** A duration in ms. As Node's timers: what is too long for one is cut, with a warning. */
export function readTimeout(value: unknown, name: string): number {
  const ms = readDuration(value, name);
  if (ms < (value as number)) {
    emitWarning(
      `${value} does not fit into a 32-bit signed integer. Timer duration was truncated to ${ms}.`,
      "TimeoutOverflowWarning",
    );
  }
  return ms;
}

/** The option of a request, or else of its agent, ms; 0 or undefined: none. */
export function timeoutOption({ timeout, agent }: TimedRequest): number | undefined {
  return timeout ?? agent?.options?.timeout;
}

/** See the file's comment; made for a request that has an option or asks for one. */
export class RequestTimeout {
  readonly #request: TimedRequest;
  readonly #context: Context;
  /** By setTimeout(), ms. */
  #ms: number | undefined;
  #stream: StreamLike | undefined;
  /** The option's, as long as nobody has seen the stream of a connection that is being made. */
  #connectTimer: Timer | undefined;
  #isTold = false;
  #isOpen: boolean;

  /** Of `request`, which was made in `context` and whose connection may be open already. */
  constructor(request: TimedRequest, context: Context, isOpen: boolean) {
    this.#request = request;
    this.#context = context;
    this.#isOpen = isOpen;
  }

  /** There is a connection: one of our agents', by whose `clock` it is timed, or a stream that is `isBorrowed`. */
  start(clock: Clock | undefined, isBorrowed: boolean): void {
    const byOption = timeoutOption(this.#request);
    if (clock !== undefined && !this.#request.reusedSocket && this.#request.listenerCount("socket") === 0) {
      // A stream made before the connection is open is not the adapter's own.
      if (byOption) {
        this.#connectTimer = clock.after(byOption, () => {
          this.#isTold = true;
          this.#onTimeout();
        });
      }
      return;
    }
    this.#startStream(byOption, isBorrowed);
  }

  /** The connection is open. */
  open(isBorrowed: boolean): void {
    this.#isOpen = true;
    this.#connectTimer?.cancel();
    if (this.#stream !== undefined || isBorrowed) return;
    const byOption = timeoutOption(this.#request);
    if (this.#ms !== undefined || byOption) this.#startStream(byOption, isBorrowed);
  }

  /** setTimeout() of the request, ms. */
  set(ms: number): void {
    this.#ms = ms;
    // Before the connection is open its stream is not the adapter's own, unless somebody has asked for it.
    if (this.#isOpen || this.#stream !== undefined) this.#arm(this.#request.socket as StreamLike, ms);
  }

  /** The connection is the request's no more. */
  stop(): void {
    this.#connectTimer?.cancel();
    const stream = this.#stream;
    if (stream === undefined) return;
    this.#stream = undefined;
    this.#request.timeoutCb = null;
    stream.off("timeout", this.#onTimeout);
    if (this.#request.shouldKeepAlive && !stream.destroyed) stream.setTimeout?.(0);
  }

  #startStream(byOption: number | undefined, isBorrowed: boolean): void {
    const stream = this.#request.socket as StreamLike;
    this.#watch(stream);
    // An agent that gives streams has set it, as a socket's option.
    if (!isBorrowed && byOption) stream.setTimeout?.(byOption);
    if (this.#ms !== undefined) this.#arm(stream, this.#ms);
  }

  #arm(stream: StreamLike, ms: number): void {
    this.#watch(stream);
    if (stream.connecting === true) stream.once("connect", () => stream.setTimeout?.(ms));
    else stream.setTimeout?.(ms);
  }

  #watch(stream: StreamLike): void {
    if (this.#stream === stream) return;
    this.#stream = stream;
    this.#request.timeoutCb = this.#onTimeout;
    // Node tells it once.
    if (!this.#isTold) stream.once("timeout", this.#onTimeout);
  }

  // The stream's timer is nobody's.
  readonly #onTimeout = (): void => void run(this.#context, this.#request.emit, this.#request, "timeout");
}

/** Calls `use` with the stream of a request once that is connected. */
export function whenConnected(
  request: EventEmitter & { readonly socket: unknown },
  use: (stream: StreamLike) => void,
): void {
  const useOpen = (socket: unknown): void => {
    const stream = socket as StreamLike;
    if (stream.connecting === true) stream.once("connect", () => use(stream));
    else use(stream);
  };
  if (request.socket !== null) useOpen(request.socket);
  else request.once("socket", useOpen);
}
