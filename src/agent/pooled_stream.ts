/**
 * The streams of pooled connections: which of them can be used, shown and lent. Knows no pool.
 *
 * @module
 */

import type { Duplex } from "node:stream";
import { ArgumentTypeError, ConnectionClosedError, invalidArgType } from "./core/errors.ts";
import { duplexOf, SocketStream } from "./socket_stream.ts";
import type { Clock } from "../clock.ts";
import { fromDuplex } from "../runtime/mod.ts";
import type { Socket } from "../runtime/socket.ts";

/** Why an answer of createConnection cannot be used; undefined: it can. */
export function refusalOf(error: unknown, stream: Duplex | undefined, isSecure: boolean): Error | undefined {
  if (error !== undefined && error !== null) return error instanceof Error ? error : new Error(String(error));
  if (stream === undefined || stream === null) {
    return new ConnectionClosedError("createConnection() gave neither a stream nor an error");
  }
  if (!isStream(stream)) {
    return invalidArgType("stream of createConnection()", "an instance of Duplex", stream);
  }
  if (isSpent(stream)) {
    return stream.errored ?? new ConnectionClosedError("createConnection() gave a stream that is closed");
  }
  if (!isSecure || (stream as { encrypted?: boolean }).encrypted === true) return undefined;
  return new ArgumentTypeError(
    "ERR_TLS_REQUIRED",
    "Cannot send an https request over a stream that is not encrypted",
  );
}

function isStream(value: unknown): value is Duplex {
  const { on, write, destroy } = value as Partial<Duplex>;
  return typeof on === "function" && typeof write === "function" && typeof destroy === "function";
}

/** It has ended one way or the other, and may have told so already: who waits for its events waits for ever. */
function isSpent({ destroyed, readable, writable }: Duplex): boolean {
  return destroyed === true || readable === false || writable === false;
}

/** A stream that stands for a socket while its events go where they went before. */
export function shownStream(socket: Socket, clock: Clock): Duplex {
  const { handler } = socket;
  const stream = new SocketStream(socket, clock);
  fromDuplex(stream, handler);
  return stream;
}

/** The stream of a socket for its borrower: the one that users have seen, if any has. */
export function lent(socket: Socket, seen: Duplex | undefined, clock: Clock): Duplex | undefined {
  // Its last user has ended it while it lay idle.
  if (seen?.writableEnded === true) return undefined;
  if (seen instanceof SocketStream) {
    seen.attach();
    return seen;
  }
  try {
    return duplexOf(socket, clock);
  } catch {
    // The peer has ended in this very moment, which is told next: nobody can use it any more.
    return undefined;
  }
}

/** What Node's agent understands on every stream of its own. */
export interface StreamEvents {
  /** Who had it is done with it. */
  onFree(): void;
  /** It is gone. */
  onClose(): void;
  /** It was idle for the time that was set. */
  onTimeout(): void;
  /** It leaves the agent alive. */
  onAgentRemove(): void;
}

/** The listeners of one owner on one stream at a time. */
export class StreamListeners {
  readonly #owner: StreamEvents;
  #stream: Duplex | undefined;
  #listeners: Record<string, () => void> = {};

  /** On no stream yet. */
  constructor(owner: StreamEvents) {
    this.#owner = owner;
  }

  /** Listens, unless it does already; once it is to hear of the close or of errors it does so until it stops. */
  listen(stream: Duplex, hearsClose: boolean, hearsErrors: boolean = true): void {
    const owner = this.#owner;
    if (this.#stream === undefined) {
      this.#stream = stream;
      this.#on("free", () => owner.onFree());
      this.#on("timeout", () => owner.onTimeout());
      this.#on("agentRemove", () => owner.onAgentRemove());
    }
    // The request has listeners of its own; between two requests, and before the first is told, there are none.
    if (hearsErrors && this.#listeners["error"] === undefined) this.#on("error", ignore);
    if (hearsClose && this.#listeners["close"] === undefined) this.#on("close", () => owner.onClose());
  }

  /** Hears of the peer's end too: of one that is lent nobody else tells the pool. Programs count the listeners for it. */
  hearEnd(): void {
    const stream = this.#stream!;
    if (this.#listeners["end"] === undefined) this.#on("end", () => onEnd(stream));
  }

  /** The stream is not lent any more. */
  ignoreEnd(): void {
    const listener = this.#listeners["end"];
    if (listener !== undefined) this.#stream?.off("end", listener);
    delete this.#listeners["end"];
  }

  #on(event: string, listener: () => void): void {
    this.#listeners[event] = listener;
    this.#stream!.on(event, listener);
  }

  /** Takes them off. */
  stop(): void {
    for (const [event, listener] of Object.entries(this.#listeners)) this.#stream?.off(event, listener);
    this.#stream = undefined;
    this.#listeners = {};
  }
}

const ended = new WeakSet<Duplex>();

/** True where the peer has ended a stream that somebody listens to for the pool. */
export function hasPeerEnded(stream: Duplex): boolean {
  return ended.has(stream);
}

function onEnd(stream: Duplex): void {
  // Bun tells an end of what was destroyed, too.
  if (stream.destroyed) return;
  ended.add(stream);
  // What a stream does by itself, and does not where a listener throws: it would stay half open, and its place taken.
  queueMicrotask(() => {
    if (!stream.destroyed && !stream.allowHalfOpen && !stream.writableEnded) stream.end();
  });
}

/** A stream that nobody wants, whose errors nobody hears; what is none is nobody's to close. */
export function discard(stream: unknown): void {
  if (stream === undefined || stream === null || !isStream(stream)) return;
  stream.on("error", ignore);
  stream.destroy();
}

/** Closes `inner` when `outer` is closed, which is made over it. */
export function discardWith(outer: Duplex, inner: Duplex): void {
  inner.on("error", ignore);
  if (outer.destroyed) discard(inner);
  else outer.once("close", () => discard(inner));
}

/** A listener for errors that somebody else hears, or nobody needs to. */
export function ignore(): void {}

/**
 * Calls what is the user's; should it throw, that is thrown later: it is nobody's here, and the request and the slot at hand
 * must not be lost by it.
 */
export function aside<T>(call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    queueMicrotask(() => {
      throw error;
    });
    return undefined;
  }
}

/** What was thrown, as an Error. */
export function asError(thrown: unknown): Error {
  return thrown instanceof Error ? thrown : new Error(String(thrown));
}

/** A close's reason for the counts. */
export function errorReason(error: Error): string {
  const { code } = error as { code?: unknown };
  if (code === "ABORT_ERR") return "aborted";
  return typeof code === "string" ? code : error.name;
}

/** What a request of node:http shows of its response. */
interface ReadableResponse {
  readonly complete?: boolean;
  readonly readableEnded?: boolean;
  readonly readableLength?: number;
}

/** How far a request of node:http has got with a response that it does not read; undefined: it has none, or has read it. */
export function unreadOf(request: object, stream: Duplex): string | undefined {
  const { res } = request as { res?: ReadableResponse | null };
  const { complete, readableEnded, readableLength = 0 } = res ?? {};
  if (readableEnded !== false || (readableLength === 0 && complete !== true)) return undefined;
  return `${(stream as { bytesRead?: number }).bytesRead}/${readableLength}`;
}

/** False: a connect failed before its server could see anything of it. */
export function hasArrived(error: Error | undefined): boolean {
  const { phase, syscall, errors } = (error ?? {}) as { phase?: string; syscall?: string; errors?: Error[] };
  // A race of addresses, each with a failure of its own.
  if (errors !== undefined) return errors.some(hasArrived);
  return phase !== "lookup" && phase !== "connect" && syscall !== "getaddrinfo" && syscall !== "connect";
}
