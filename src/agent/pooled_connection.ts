/**
 * A slot's connection and what the pool has to do about it: dial, lend, take back, park, close. Owns the connection's
 * stream, its age and its use; decides nothing that `core/pool.ts` decides.
 *
 * Strategy: one object for both kinds of users. An exchange of ours runs on a Connection, bytes against bytes; a request of
 * the runtime's own node:http is lent the stream and gives it back by 'free'. In between, both are the same: an open
 * connection under the eyes of `connection.ts`, which anything unexpected closes.
 *
 * @module
 */

import type { Duplex } from "node:stream";
import { AbandonedDial } from "./abandoned_dial.ts";
import { Connection, type ConnectionOwner, type SpentReason } from "./connection.ts";
import { AgentDestroyedError, ConnectionClosedError, TimeoutError } from "./core/errors.ts";
import { CLOSE_TIMEOUT_MS } from "./connection_rules.ts";
import type { KeepAliveVerdict } from "./core/keep_alive.ts";
import type { Slot } from "./core/pool.ts";
import type { KnownEndpoint } from "./endpoint_table.ts";
import { idleTimerOf, park, unpark } from "./parking.ts";
import {
  asError,
  aside,
  discard,
  errorReason,
  hasArrived,
  ignore,
  lent,
  refusalOf,
  shownStream,
  type StreamEvents,
  StreamListeners,
} from "./pooled_stream.ts";
import type { PoolOf, QueueDeadlineOf, WaiterOf } from "./pool_roles.ts";
import type { NameCounts } from "./pool_stats.ts";
import { emitIn } from "./stream_context.ts";
import { UnreadWatch } from "./unread_watch.ts";
import type { Timer } from "../clock.ts";
import { fromDuplex, openingEvent, showStream, withClose } from "../runtime/mod.ts";
import type { Socket } from "../runtime/socket.ts";

/** A slot of the pool. */
export type PoolSlot = Slot<PooledConnection, Waiter>;

/** Somebody who wants a connection. */
export type Waiter = WaiterOf<PooledConnection>;

/** The end of a waiter's time in the queue. */
export type QueueDeadline = QueueDeadlineOf<PooledConnection>;

/** What of a pool its connections use. */
export type PoolOfConnections = PoolOf<PooledConnection>;

/** See the file's comment. */
export class PooledConnection implements ConnectionOwner, StreamEvents {
  readonly slot: PoolSlot;
  readonly endpoint: KnownEndpoint;
  readonly connection: Connection;
  /** When it was dialled, ms. */
  readonly dialledAt: number;
  readonly #pool: PoolOfConnections;
  readonly #diesAt: number;
  #phase: "dialling" | "open" | "gone" = "dialling";
  /** Whom it is dialled for, until it is open: an idle connection holds nothing of its first request. */
  #dialler: Waiter | undefined;
  #stream: Duplex | undefined;
  /** Of its name, from when it is open. */
  #counts: NameCounts | undefined;
  // Made for a stream that somebody sees: an idle connection of our own requests has none.
  #listeners: StreamListeners | undefined;
  #hasSocket = false;
  #isAnswered = false;
  /** Its user's for good, whatever becomes of it. */
  #isDetached = false;
  #connectTimer: Timer | undefined;
  #closeTimer: Timer | undefined;
  #unread: UnreadWatch | undefined;
  #isParked = false;
  /** It is idle and not pooled yet: for how long it may be kept, ms. */
  #idleMs: number | undefined;
  /** Until when it may lie idle, by what was known when it last became so, ms. */
  #expiresAt = Infinity;
  #wasParked = false;
  /** Lent as a stream to this waiter. */
  #borrower: Waiter | undefined;
  /** Waits for the connection to be quiet. */
  #next: Waiter | undefined;
  /** Waited for that when the connection was lost. */
  #lost: Waiter | undefined;
  /** Why it was, where that was seen before the socket's close. */
  #loss: SpentReason | undefined;
  /** Why it ends, where its user or the agent said so before anything else did. */
  #why: string | undefined;
  /** Closed by a FIN of ours, or behind the last response, as both sides know. */
  #isOrderly = false;
  /** Given up while a createConnection was at work. */
  #abandoned: AbandonedDial<PooledConnection> | undefined;

  /** A connection that is about to be dialled for its slot's waiter. */
  constructor(pool: PoolOfConnections, slot: PoolSlot) {
    const { settings, clock } = pool;
    this.#pool = pool;
    this.slot = slot;
    this.#dialler = slot.waiter!;
    this.endpoint = slot.waiter!.endpoint;
    this.dialledAt = clock.now();
    this.#diesAt = this.dialledAt + settings.maxLifetime * (1 - Math.random() / 10);
    this.endpoint.parsers.enter();
    this.connection = new Connection(this, settings.agentKeepAliveTimeoutBuffer, this.endpoint.parsers);
    const { connectTimeout } = settings;
    if (connectTimeout === Infinity) return;
    const onTimeout = (): void => this.fail(new TimeoutError("connect", connectTimeout));
    // A user's createConnection may hold nothing that holds the process.
    this.#connectTimer = clock.after(connectTimeout, onTimeout, { ref: true });
  }

  /** Dials by an adapter. */
  dial(connect: (connection: Connection) => Socket): void {
    this.#isAnswered = true;
    this.#attach(connect(this.connection));
  }

  /** The answer of a createConnection: the first counts, a later stream is destroyed. */
  answer(error: unknown, stream: Duplex | undefined): void {
    if (this.#abandoned !== undefined) return this.#abandoned.answer(stream);
    if (this.#isAnswered || this.#phase !== "dialling") {
      if (stream !== this.#stream) discard(stream);
      return;
    }
    this.#isAnswered = true;
    const refusal = refusalOf(error, stream, this.endpoint.isSecure);
    if (refusal !== undefined) {
      discard(stream);
      return this.#failDial(refusal, stream !== undefined && stream !== null);
    }
    this.#setStream(withClose(stream!));
    if (this.#dialler!.usesStream) this.#lendNew(stream!, this.#dialler!);
    else {
      this.#attach(fromDuplex(stream!, this.connection));
      // Its close is told by the connection, which knows why.
      this.#listen(false);
      // A stream of ours that is open already gives its socket back, which does not say so again.
      if (!this.connection.socket.connecting) queueMicrotask(() => this.connection.onOpen());
    }
  }

  /** The dial has failed by what was thrown. */
  failDial(error: Error): void {
    if (this.#abandoned !== undefined) return this.#abandoned.answer(undefined);
    // A createConnection that has answered and throws all the same: nobody is told inside dispatch().
    if (this.#stream !== undefined) return queueMicrotask(() => this.fail(error));
    this.#failDial(error, false);
  }

  /** There will be no socket. Told later: nobody is told inside dispatch(). */
  #failDial(error: Error, hasArrived: boolean): void {
    const waiter = this.#dialler!;
    this.#leave(errorReason(error), hasArrived ? "unheard" : "unseen");
    queueMicrotask(() => waiter.fail(error));
  }

  /** The stream as users see it, and made when they first look; undefined: there is none yet. */
  get stream(): Duplex | undefined {
    if (this.#stream === undefined && this.#hasSocket) {
      const { socket } = this.connection;
      const own = showStream(socket);
      this.#setStream(own ?? shownStream(socket, this.#pool.clock));
      this.#listen(true, own === undefined);
      this.connection.stayPaused();
    }
    return this.#stream;
  }

  /** Its stream if somebody has seen it. */
  get seenStream(): Duplex | undefined {
    return this.#stream;
  }

  /** It lay idle, or did so when it was closed. */
  get isParked(): boolean {
    return this.#isParked;
  }

  /** Who has the stream. */
  get borrower(): Waiter | undefined {
    return this.#borrower;
  }

  /** Serves a waiter over an open connection, once it is known to be quiet. */
  serve(waiter: Waiter): void {
    // Before a method of the user's is called: it may abort the request, or destroy the stream.
    this.#next = waiter;
    try {
      if (this.#isParked) {
        this.#isParked = false;
        unpark(this, this.#pool, waiter.request);
      }
    } catch (error) {
      // Told later: nobody is told inside dispatch().
      return queueMicrotask(() => this.#next === waiter && this.fail(asError(error)));
    }
    this.#pool.afterPoll(() => {
      // Lost meanwhile, though it may not have said so yet: once it is gone its slot is dialled anew.
      if (this.#next !== waiter || this.connection.socket.destroyed) return;
      this.#next = undefined;
      this.#counts!.reuse();
      waiter.start(this);
    });
  }

  /** Gives the stream to a waiter that uses streams; undefined: there is none, and the connection closes. */
  lend(waiter: Waiter): Duplex | undefined {
    if (this.#borrower === waiter) return this.#stream;
    const stream = lent(this.connection.socket, this.#stream, this.#pool.clock);
    if (stream === undefined) {
      this.connection.destroy();
      return undefined;
    }
    this.#setStream(stream);
    this.#lendTo(waiter);
    return this.#stream;
  }

  /** The borrower of the stream is done with it: it may serve another, for `idleMs` at most. */
  takeBack(idleMs: number): void {
    const stream = this.#stream!;
    const event = openingEvent(stream);
    if (this.#phase === "dialling" && event !== undefined) {
      return void stream.once(event, () => this.takeBack(idleMs));
    }
    if (this.#phase === "dialling") this.#opened();
    if (this.#phase === "gone") return;
    this.#borrower = undefined;
    this.#listeners?.ignoreEnd();
    emitIn(stream, undefined);
    this.#unread?.stop();
    this.#hasSocket = true;
    this.connection.takeBack(fromDuplex(stream, this.connection));
    this.#release(idleMs);
  }

  /** `waiter` gives up, which ends its connection if that is dialled for it or carries it. */
  abort(waiter: Waiter, error: Error, isCarried: boolean): void {
    if (this.#lost === waiter) return this.#giveUpLost(error);
    if (this.#isDialledFor(waiter) || (isCarried && this.#next !== waiter)) this.#why ??= errorReason(error);
    if (this.#next === waiter) {
      this.#next = undefined;
      if (this.connection.socket.destroyed) this.#pool.core.close(this.slot, "peer-closed");
      else this.#giveBack();
      this.#pool.drain();
      waiter.fail(error);
    } else if (this.#isDialledFor(waiter)) {
      if (this.#isDetached) this.connection.destroy();
      else this.destroy();
      waiter.fail(error);
    } else if (isCarried) {
      this.connection.abort(error);
    }
  }

  /** Closes at once; whoever uses it fails with `error`. */
  fail(error: Error): void {
    if (this.#lost !== undefined) return this.#giveUpLost(error);
    const waiter = this.#phase === "dialling" ? this.#dialler : this.#next;
    this.#next = undefined;
    this.#why ??= this.slot.reason ?? errorReason(error);
    if (this.#hasSocket && this.#borrower === undefined) this.connection.abort(error);
    else if (this.#borrower !== undefined) {
      // Who has the stream says himself that it was hung up.
      this.#stream!.destroy(error instanceof AgentDestroyedError ? undefined : error);
    } else this.destroy();
    if (this.#borrower === undefined) waiter?.fail(error);
  }

  /** The borrower of the stream says that it may not serve another, and why. */
  refuse(reason: string): void {
    this.#why ??= reason;
    this.#stream!.destroy();
  }

  /** Closes at once. */
  destroy(): void {
    if (this.#phase === "gone") return;
    if (this.#borrower !== undefined) this.#stream!.destroy();
    else if (this.#hasSocket) this.connection.destroy();
    else if (this.#isAnswered) this.#leave("aborted", "unheard");
    else {
      this.#end(this.#why ?? "aborted");
      this.#abandoned = new AbandonedDial(this.#pool, this);
      this.#pool.drain();
    }
  }

  /** Closes, and lets the peer answer with its FIN: only then does its server count one less. */
  end(isAwaited: boolean): void {
    if (this.#phase === "gone") return;
    if (!this.#hasSocket || this.#borrower !== undefined) return this.destroy();
    this.#isOrderly = !this.connection.socket.destroyed && this.slot.reason !== "peer-closed";
    this.connection.end();
    this.#closeTimer ??= this.#pool.clock.after(CLOSE_TIMEOUT_MS, () => this.connection.destroy(), {
      ref: isAwaited,
    });
  }

  /** The stream is its user's for good; who was about to have it gets another. */
  detach(): void {
    const next = this.#next;
    this.#next = undefined;
    this.#isDetached = true;
    this.#listeners?.stop();
    this.#leave("detached", "unseen");
    if (next !== undefined) this.#pool.askAgain(next);
  }

  onConnectionOpen(connection: Connection): void {
    const waiter = this.#dialler!;
    // Taken out of the agent while it was being dialled: the request goes on, as any that is under way (http.Agent, 'agentRemove').
    if (this.#isDetached) this.#dialler = undefined;
    else if (!this.#opened()) return connection.destroy();
    waiter.start(this);
  }

  onConnectionIdle(connection: Connection, verdict: KeepAliveVerdict): void {
    // Node's TLS tells a turn late that a write is done. Asked before a next request can begin, which waits for a poll too.
    let isSpent = false;
    if (connection.socket.pendingBytes > 0) this.#pool.afterPoll(() => isSpent = this.#closeUnsent());
    if (!isSpent) this.#release(verdict.idleTimeoutMs ?? Infinity, true);
  }

  /** Closes where the last response came before its request had left: nobody wants the rest sent. */
  #closeUnsent(): boolean {
    const { connection } = this;
    if (this.#phase !== "open" || connection.isBusy || connection.socket.pendingBytes === 0) return false;
    const isWaitedFor = this.#next !== undefined;
    this.onConnectionSpent(connection, "request-unfinished");
    // The waiter is dialled for anew.
    if (isWaitedFor) connection.destroy();
    return true;
  }

  onConnectionUnread(_connection: Connection, isUnread: boolean): void {
    this.#unreadWatch?.note(isUnread);
  }

  onConnectionSpent(connection: Connection, reason: SpentReason): void {
    // Lost while it was to prove quiet: its slot is dialled anew once the socket is gone.
    if (this.#next !== undefined) return void (this.#loss = reason);
    // The pool knows nothing of it any more.
    if (this.#isDetached) connection.end();
    else this.#pool.core.close(this.slot, reason);
    // The rest of an upload whose answer is here already: nobody wants it sent.
    if (reason === "request-unfinished") connection.destroy();
    this.#pool.drain();
  }

  onConnectionDetached(): void {
    this.detach();
  }

  onConnectionClosed(_connection: Connection, error: Error | undefined, cause: Error | undefined): void {
    this.#closed(error, cause);
  }

  #attach(socket: Socket): void {
    this.connection.attach(socket);
    this.#hasSocket = true;
    this.#dialler!.onConnecting(socket);
    if (this.#pool.hooks.isStreamWatched) void this.stream;
  }

  /** Node's order: the request has its stream at once, and hears of the connect itself. */
  #lendNew(stream: Duplex, waiter: Waiter): void {
    this.#lendTo(waiter);
    const event = openingEvent(stream);
    const open = (): void => {
      if (this.#phase === "dialling" && !this.#opened()) stream.destroy();
    };
    if (event === undefined) open();
    else stream.once(event, open);
    waiter.start(this);
  }

  #lendTo(waiter: Waiter): void {
    this.connection.lend();
    this.#borrower = waiter;
    emitIn(this.#stream!, waiter.context);
    this.#listen();
    this.#listeners!.hearEnd();
    this.#unreadWatch?.look(waiter.request, this.#stream!);
  }

  /** Undefined: a body may lie for ever. */
  get #unreadWatch(): UnreadWatch | undefined {
    const { clock, settings } = this.#pool;
    const { unreadBodyTimeout } = settings;
    if (unreadBodyTimeout === Infinity) return undefined;
    const onUnread = (): void => {
      this.#pool.onUnreadBody();
      this.fail(new TimeoutError("body", unreadBodyTimeout));
    };
    return this.#unread ??= new UnreadWatch({ clock, unreadBodyTimeout, onUnread });
  }

  #opened(): boolean {
    const { core, stats } = this.#pool;
    const isRedial = this.slot.state === "active";
    if (!(isRedial ? core.reconnected(this.slot, this) : core.connected(this.slot, this))) return false;
    this.#phase = "open";
    this.#dialler = undefined;
    this.#connectTimer?.cancel();
    this.#counts = stats.of(this.slot.name);
    this.#counts.opened++;
    return true;
  }

  /** The connection has become idle; `isNews`: nobody has emitted 'free' for it. */
  #release(idleMs: number, isNews: boolean = false): void {
    const { hooks } = this.#pool;
    const isWatched = isNews && hooks.isFreeWatched;
    if (isWatched && hooks.isFreePreceded) return this.#announce(idleMs);
    this.#keep(idleMs);
    if (!isNews) return;
    // A stream that nobody has seen has no listener either.
    const stream = isWatched ? this.stream : this.#stream;
    if (stream !== undefined) aside(() => stream.emit("free"));
  }

  // A user's listener that stands before the pool's own sees the connection as its request has left it.
  #announce(idleMs: number): void {
    this.#idleMs = idleMs;
    aside(() => this.stream?.emit("free"));
    // One that throws, or has taken the pool's own off, keeps the connection from nobody.
    this.takeIdle();
  }

  /** The pool's own listener of 'free' is called: the connection is pooled, if it waits for that and is open still. */
  takeIdle(): void {
    const idleMs = this.#idleMs;
    this.#idleMs = undefined;
    if (idleMs === undefined || this.#isDetached || this.connection.socket.destroyed) return;
    this.#keep(idleMs);
  }

  #keep(idleMs: number): void {
    const { clock, settings } = this.#pool;
    const idleTimeout = idleTimerOf(this, this.#pool) === undefined ? settings.idleTimeout : Infinity;
    const now = clock.now();
    this.#expiresAt = Math.min(now + Math.min(idleMs, idleTimeout), this.#diesAt);
    this.#giveBack(now);
    this.#pool.drain();
  }

  /** To the next waiter, or to those that are parked: for as long as was left when it last became idle. */
  #giveBack(now: number = this.#pool.clock.now()): void {
    const { core, settings } = this.#pool;
    if (this.connection.exchanges >= settings.maxRequestsPerSocket) core.close(this.slot, "max-requests");
    else if (now >= this.#diesAt) core.close(this.slot, "max-lifetime");
    else {
      const mayPark = settings.keepAlive && !this.#pool.isClosed;
      if (core.release(this.slot, now, this.#expiresAt, mayPark) !== "parked") return;
      this.#isParked = true;
      const isFirst = !this.#wasParked;
      this.#wasParked = true;
      if (!park(this, this.#pool, isFirst)) core.close(this.slot, "not-kept");
    }
  }

  #closed(error: Error | undefined, told: Error | undefined = error): void {
    const dialler = this.#dialler;
    if (this.#isDetached) this.#failDialler(dialler, error);
    if (this.#phase === "gone") return;
    const next = this.#next;
    this.#next = undefined;
    if (next !== undefined) {
      const reason = this.#loss ?? (error === undefined ? "peer-closed" : errorReason(error));
      if (this.#pool.core.hasRoomBeside(this.slot)) {
        this.#leave(reason, "unheard");
        return this.#pool.askAgain(next);
      }
      this.#end(reason);
      this.#lost = next;
      return this.#pool.afterNews(false, () => this.#redial());
    }
    const cause = told ?? this.#stream?.errored ?? undefined;
    const reason = cause !== undefined ? errorReason(cause) : this.#borrower?.lossReason?.() ?? "closed";
    if (dialler !== undefined && !hasArrived(cause)) this.#leave(reason, "unseen");
    else {
      this.#leave(reason, this.#isOrderly && this.connection.hasPeerEnded ? "answered" : "unheard");
    }
    this.#failDialler(dialler, error);
  }

  #failDialler(dialler: Waiter | undefined, error: Error | undefined): void {
    // Who has the stream hears of it there.
    if (dialler?.usesStream !== false) return;
    dialler.fail(error ?? new ConnectionClosedError("The connection closed before it was open"));
  }

  #isDialledFor(waiter: Waiter): boolean {
    return this.#dialler === waiter && (this.#phase === "dialling" || this.#isDetached);
  }

  #redial(): void {
    if (this.#lost === undefined) return;
    this.#lost = undefined;
    this.#pool.redial(this.slot);
  }

  /** Who was to be dialled for anew gives up. */
  #giveUpLost(error: Error): void {
    const lost = this.#lost;
    this.#lost = undefined;
    this.#pool.forget(this);
    this.#pool.drain();
    lost?.fail(error);
  }

  /**
   * The slot comes back: at once where no server saw the connection, or sees it still and it is somebody else's; else when
   * the server has heard of its end.
   */
  #leave(reason: string, end: "unseen" | "answered" | "unheard"): void {
    if (this.#phase === "gone") return;
    this.#end(this.#why ?? this.#toldReason ?? reason);
    if (end === "unseen") this.#pool.forget(this);
    else {
      this.#pool.core.close(this.slot, reason);
      this.#pool.linger(this, end === "answered");
    }
    this.#pool.drain();
  }

  /** What the pool closed it for; of the ends of its time the pool knows only that one has come. */
  get #toldReason(): string | undefined {
    const { reason } = this.slot;
    return reason === "expired" && this.#expiresAt === this.#diesAt ? "max-lifetime" : reason;
  }

  #end(reason: string): void {
    const wasOpen = this.#phase === "open";
    this.#phase = "gone";
    this.endpoint.parsers.leave();
    this.#unread?.stop();
    this.#connectTimer?.cancel();
    this.#closeTimer?.cancel();
    this.#pool.noteEnd(this.slot, wasOpen, reason, this.connection.exchanges);
    const stream = this.#stream;
    if (stream !== undefined) aside(() => this.#pool.hooks.onRemove(stream, this.endpoint));
  }

  #setStream(stream: Duplex): void {
    if (this.#stream === stream) return;
    this.#listeners?.stop();
    this.#stream = stream;
    this.#pool.hooks.onStream(stream, this);
  }

  #listen(hearsClose: boolean = true, hearsErrors: boolean = true): void {
    this.#listeners ??= new StreamListeners(this);
    this.#listeners.listen(this.#stream!, hearsClose, hearsErrors);
  }

  /** {@linkcode StreamEvents}. */
  onFree(): void {
    this.#pool.hooks.onFree(this.#stream!, this.endpoint);
  }

  /** {@linkcode StreamEvents}. */
  onClose(): void {
    this.#closed(undefined);
  }

  /** {@linkcode StreamEvents}. */
  onAgentRemove(): void {
    // The request that is under way hears of its end from the connection; its borrower has a listener of its own.
    if (this.#borrower === undefined) this.#stream!.on("error", ignore);
    this.detach();
  }

  /** {@linkcode StreamEvents}. */
  onTimeout(): void {
    if (this.slot.state !== "free") return;
    this.#why ??= "expired";
    this.#pool.core.close(this.slot, "expired");
    this.#pool.drain();
  }
}
