/**
 * The foreign door: a ClientRequest of the runtime's own node:http that is given our Agent. Owns what such a request says
 * and hears: `addRequest` on the way in, `onSocket` on the way out, 'free' when it is done. Knows no rule of the pool.
 *
 * Strategy: such a request wants a stream and nothing else, and it wants it as early as Node gives it, while it is still
 * connecting. All it says of its end is 'free' or 'close' on the stream; what its response said of keep-alive is read
 * off the request. One thing it tells nobody: that it was destroyed while it waited (D7). So its `destroy` is listened
 * to as long as it waits, by a method of its own in front of it, which is taken off again. A subclass may have one as a field,
 * which is set behind the call to the agent: so a microtask later it is looked at once more.
 *
 * @module
 */

import type { Duplex } from "node:stream";
import { AbortError } from "./core/errors.ts";
import { responseFraming } from "./core/framing.ts";
import { type KeepAliveVerdict, keepAliveVerdict } from "./core/keep_alive.ts";
import type { Link } from "./core/linked_list.ts";
import type { Ticket } from "./core/pool.ts";
import { isIdempotent } from "./core/retry.ts";
import type { KnownEndpoint } from "./endpoint_table.ts";
import type { PoolOfWaiters } from "./exchange_waiter.ts";
import type { PooledConnection, QueueDeadline, Waiter } from "./pooled_connection.ts";
import { hasPeerEnded } from "./pooled_stream.ts";
import { isSentAsFramed } from "./sent_length.ts";
import { capture, type Context, run } from "../runtime/context.ts";

/** What its response shows. */
export interface NodeResponse {
  readonly headers?: Readonly<Record<string, unknown>>;
  readonly statusCode?: number;
  readonly httpVersionMajor?: number;
  readonly httpVersionMinor?: number;
  /** All of it has come. */
  readonly complete?: boolean;
}

/** What a ClientRequest of node:http shows its agent. */
export interface NodeRequest {
  /** Takes a stream, or the reason why there is none. */
  onSocket(stream: Duplex | undefined, error?: Error): void;
  /** Ends the request. */
  destroy(error?: Error): unknown;
  /** A header of the request. */
  getHeader?(name: string): unknown;
  /** True from `destroy()` on. */
  readonly destroyed?: boolean;
  /** Inactivity that the user was promised to hear of, ms. */
  readonly timeout?: number | undefined;
  /** The response, once there is one. */
  readonly res?: NodeResponse | null | undefined;
  /** Whether the request and its response leave the connection open. */
  readonly shouldKeepAlive?: boolean;
  /** As sent. */
  readonly method?: string;
  /** Its head, as sent: Node's own. */
  readonly _header?: string | null;
  /** Whether the connection had served before. */
  reusedSocket?: boolean;
  /**
   * Deno's own: it sends any request once again, POSTs included, that fails on a connection that had served before. True: it
   * has done so.
   */
  _retrying?: boolean;
  /** Deno's own: it is a client that sends again. */
  readonly _recordRetryData?: unknown;
}

/**
 * Keeps Deno's node:http from sending again what may have been executed (RFC 9110 section 9.2.2), and what nobody wants any more: of a
 * connection that had served before it takes every end for the peer's, that by a `destroy()` of its user's included, and the
 * request begins anew and is told of no end.
 */
function limitRetry(request: NodeRequest, stream: Duplex): void {
  if (!isIdempotent(request.method ?? "GET") && request.getHeader?.("idempotency-key") === undefined) {
    request._retrying = true;
  }
  if (request._retrying === true || request._recordRetryData === undefined) return;
  let isRetrying = false;
  Object.defineProperty(request, "_retrying", {
    configurable: true,
    enumerable: true,
    get: () => isRetrying || request.destroyed === true || isGivenUp(stream),
    set: (value: boolean) => isRetrying = value,
  });
}

/** Destroyed on this side, without an error. */
function isGivenUp({ destroyed, readableEnded, errored }: Duplex): boolean {
  return destroyed && !readableEnded && (errored ?? null) === null;
}

/** What an agent says of the streams it hands out. */
export interface ForeignSettings {
  /** Inactivity after which a stream emits 'timeout', ms; undefined: none. */
  readonly timeout: number | undefined;
  /** Taken off the server's hint, ms. */
  readonly agentKeepAliveTimeoutBuffer: number;
}

/** A stream that a user gives to the agent by emitting 'free' with it: it is parked, or destroyed where there is no place. */
export class AdoptedStream implements Waiter {
  readonly endpoint: KnownEndpoint;
  readonly request: object = {};
  readonly usesStream = true;
  readonly newBecause = "given";
  readonly stream: Duplex;
  ticket: Ticket<PooledConnection, Waiter> | undefined;
  deadline: Link<QueueDeadline> | undefined;
  pooled: PooledConnection | undefined;

  /** A stream that the pool does not know yet. */
  constructor(stream: Duplex, endpoint: KnownEndpoint) {
    this.stream = stream;
    this.endpoint = endpoint;
  }

  onConnecting(): void {}

  start(pooled: PooledConnection): void {
    queueMicrotask(() => pooled.takeBack(Infinity));
  }

  fail(): void {
    this.stream.destroy();
  }
}

/** See the file's comment. */
export class ForeignRequest implements Waiter {
  readonly endpoint: KnownEndpoint;
  readonly request: NodeRequest;
  readonly usesStream = true;
  ticket: Ticket<PooledConnection, Waiter> | undefined;
  deadline: Link<QueueDeadline> | undefined;
  pooled: PooledConnection | undefined;
  readonly #pool: PoolOfWaiters;
  readonly #settings: ForeignSettings;
  readonly context: Context;
  /** What others had read from its stream. */
  #readBefore = 0;
  /** What they had written to it; NaN: it does not tell. */
  #writtenBefore = NaN;
  #isSettled = false;
  /** What stands in front of the request's `destroy`. */
  #watcher: unknown;
  /** The user's own `destroy`, if the request has one. */
  #ownDestroy: PropertyDescriptor | undefined;

  /** A request that has not asked yet. */
  constructor(pool: PoolOfWaiters, request: NodeRequest, endpoint: KnownEndpoint, settings: ForeignSettings) {
    this.#pool = pool;
    this.request = request;
    this.endpoint = endpoint;
    this.#settings = settings;
    this.context = capture();
  }

  /** Watches for a destroy() as long as there is no stream that could tell of it. */
  watch(): void {
    if (this.#isSettled) return;
    this.#stand();
    queueMicrotask(() => {
      if (this.#isSettled || this.request.destroy === this.#watcher) return;
      if (this.request.destroyed) this.#giveUp();
      else this.#stand();
    });
  }

  #stand(): void {
    const { request } = this;
    const value = (error?: Error): unknown => {
      this.#unwatch();
      const result = request.destroy(error);
      this.#giveUp();
      return result;
    };
    this.#watcher = value;
    this.#ownDestroy = Object.getOwnPropertyDescriptor(request, "destroy");
    Object.defineProperty(request, "destroy", {
      configurable: true,
      enumerable: false,
      writable: true,
      value,
    });
  }

  onConnecting(): void {}

  start(pooled: PooledConnection): void {
    this.pooled = pooled;
    const isReused = pooled.connection.exchanges > 0 && pooled.borrower !== this;
    const stream = pooled.lend(this);
    // The peer ended in this very moment: another connection, for nothing was sent.
    if (stream === undefined) return this.#pool.askAgain(this);
    this.#settle();
    this.#readBefore = bytesReadOf(stream);
    this.#writtenBefore = bytesWrittenOf(stream);
    if (isReused) {
      this.request.reusedSocket = true;
      limitRetry(this.request, stream);
    }
    run(this.context, this.#deliver, this, stream);
  }

  /** The stream is free: the connection goes back to the pool, or is closed where its head says so. */
  giveBack(stream: Duplex): void {
    // Node's mark, which its agent takes off: a parked stream would hold the request and its response.
    (stream as { _httpMessage?: unknown })._httpMessage = null;
    if (stream.destroyed || !stream.writable) return void stream.destroy();
    const { reusable, reason, idleTimeoutMs = Infinity } = this.#verdict;
    if (!reusable) return this.pooled!.refuse(reason!);
    // The idle timer is the pool's, and the next request's own is set when it begins (D6).
    setStreamTimeout(stream, 0);
    this.pooled!.takeBack(idleTimeoutMs);
  }

  lossReason(): string | undefined {
    const { request, pooled } = this;
    const { res } = request;
    const stream = pooled!.stream as Duplex & { _hadError?: boolean };
    if (res?.complete === true) {
      const { reason } = this.#verdict;
      if (reason !== undefined) return reason;
      // Node's mark of a response that its parser could not read on from.
      if (stream._hadError === true) return "surplus-bytes";
    }
    if (hasPeerEnded(stream)) return "peer-closed";
    // Something came that was no response.
    const isNone = (res ?? undefined) === undefined && bytesReadOf(stream) > this.#readBefore;
    return isNone ? "protocol-error" : undefined;
  }

  get #verdict(): KeepAliveVerdict {
    const verdict = verdictOf(this.request, this.#settings.agentKeepAliveTimeoutBuffer);
    return verdict.reusable && !this.#isSentAsFramed ? SAID_CLOSE : verdict;
  }

  /** What its stream took is what its head announced, as far as both can be seen. */
  get #isSentAsFramed(): boolean {
    const { _header: head } = this.request;
    const sent = bytesWrittenOf(this.pooled!.stream!) - this.#writtenBefore;
    return typeof head !== "string" || Number.isNaN(sent) || isSentAsFramed(head, sent);
  }

  fail(error: Error | undefined): void {
    if (this.#isSettled) return;
    this.#settle();
    run(this.context, (reason: Error | undefined) => this.request.onSocket(undefined, reason), this, error);
  }

  /** The user has destroyed it: out of the queue, or the dial is called off. */
  #giveUp(): void {
    if (this.#isSettled) return;
    this.#isSettled = true;
    const { pooled, request } = this;
    if (pooled === undefined) this.#pool.cancel(this);
    else pooled.abort(this, new AbortError(), false);
    // Without an error of ours: it says its own.
    run(this.context, () => request.onSocket(undefined), undefined, undefined);
    this.#pool.drain();
  }

  #deliver(stream: Duplex): void {
    const { request } = this;
    request.onSocket(stream);
    const { timeout } = this.#settings;
    setStreamTimeout(stream, request.timeout ?? timeout ?? 0);
  }

  #settle(): void {
    this.#isSettled = true;
    this.#unwatch();
  }

  #unwatch(): void {
    const { request } = this;
    // Somebody else may stand in front of ours by now.
    if (this.#watcher !== undefined && request.destroy === this.#watcher) {
      if (this.#ownDestroy === undefined) Reflect.deleteProperty(request, "destroy");
      else Object.defineProperty(request, "destroy", this.#ownDestroy);
    }
    this.#watcher = undefined;
  }
}

/** What our own connections ask, asked of what such a request shows. */
function verdictOf(request: NodeRequest, bufferMs: number): KeepAliveVerdict {
  const { headers = {}, statusCode = 200, httpVersionMajor = 1, httpVersionMinor = 1 } = request.res ?? {};
  const field = (name: string): string | undefined =>
    headers[name] === undefined ? undefined : String(headers[name]);
  const contentLength = field("content-length");
  const transferEncoding = field("transfer-encoding");
  const framing = responseFraming(request.method ?? "GET", statusCode, { contentLength, transferEncoding });
  const verdict = keepAliveVerdict({
    head: {
      httpVersionMajor,
      httpVersionMinor,
      status: statusCode,
      connection: field("connection") ?? "",
      keepAlive: field("keep-alive") ?? "",
      hasTransferEncoding: transferEncoding !== undefined,
      hasContentLength: contentLength !== undefined,
    },
    framing: framing.kind === "fault" ? { kind: "close" } : framing,
    // Node's client sends it, and goes by the answer alone.
    connectionClose: /(^|[\s,])close($|[\s,])/i.test(String(request.getHeader?.("connection") ?? "")),
    bufferMs,
  });
  return verdict.reusable && request.shouldKeepAlive === false ? SAID_CLOSE : verdict;
}

const SAID_CLOSE: KeepAliveVerdict = { reusable: false, reason: "request-close" };

function bytesReadOf(stream: Duplex): number {
  return (stream as { bytesRead?: number }).bytesRead ?? 0;
}

function bytesWrittenOf(stream: Duplex): number {
  return (stream as { bytesWritten?: number }).bytesWritten ?? NaN;
}

function setStreamTimeout(stream: Duplex, timeoutMs: number): void {
  const socket = stream as { timeout?: number | undefined; setTimeout?: (ms: number) => void };
  if ((socket.timeout ?? 0) !== timeoutMs) socket.setTimeout?.(timeoutMs);
}
