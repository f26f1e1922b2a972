/**
 * From a name to a connection: Happy Eyeballs (RFC 8305) over any adapter.
 *
 * Owns the look-up, what each attempt is given and what becomes of the winner; the race of the attempts is dial_race.ts's,
 * and what is asked of the socket before there is one dial_early.ts's. Must not know which adapter it dials with, nor any
 * clock or resolver but those that it is given.
 *
 * Strategy: the losers of the race are cancelled only when one has won. Node instead gives each attempt 250 ms and then
 * kills it, so that a peer that is farther away is never reached (docs/defects.md, D16). The race is for TCP and ends where
 * TLS begins, or a handshake of more than 250 ms would cost every peer a second connection. Somebody may want to see the
 * adapter's own socket before there is a connection: one is made that makes none itself and takes the winner's.
 *
 * @module
 */

import { type Clock, systemClock } from "../clock.ts";
import { callLookup, lookupAddresses, readConnectOptions } from "./connect_options.ts";
import { EarlyCalls } from "./dial_early.ts";
import { AddressRace, interleave, raceError, type RaceOwner } from "./dial_race.ts";
import type { DialerSettings, HeldConnect } from "./dial_types.ts";
import { assertHonoured, fromNodeError, invalidState, SocketError } from "./errors.ts";
import { unsupportedOption, unsupportedTlsOption } from "./capabilities.ts";
import { isAddress } from "./addresses.ts";
import type {
  Connect,
  ConnectOptions,
  LookupAddress,
  LookupFunction,
  Socket,
  SocketHandler,
  SocketInfo,
  StartTlsOptions,
} from "./socket.ts";
import { readStartTls } from "./start_tls.ts";
import { tell } from "./tell.ts";

/**
 * Makes a `Connect` that races the addresses of a name. Connects to an address or a path, and those with
 * `autoSelectFamily: false`, go to the adapter as they are.
 *
 * When every attempt has failed, `onClose` is told a SocketError with the code of the first address's error; its `cause`
 * is an AggregateError with the error of each attempt, in the order of the addresses, a message and the same code.
 */
export function createDialer(settings: DialerSettings): Connect {
  return (given, handler) => {
    const options = readConnectOptions(given);
    if (!isRace(options)) return settings.connect(options, handler);
    const { family: _family, lookup: _lookup, hints: _hints, ...rest } = options;
    assertHonoured(unsupportedOption(rest, settings.capabilities), settings.capabilities.adapter);
    const socket = new DialSocket(settings, options, handler);
    socket.lookUp();
    return socket;
  };
}

/** The adapter's own socket behind a dialled one, once it is open; any other socket as it is. */
export function dialledSocket(socket: Socket): Socket {
  return socket instanceof DialSocket ? socket.inner ?? socket : socket;
}

/**
 * The adapter's own socket behind a dialled one, made now if it is connecting still and the adapter can; else as
 * {@linkcode dialledSocket}.
 */
export function shownSocket(socket: Socket): Socket {
  if (socket instanceof DialSocket) socket.show();
  return dialledSocket(socket);
}

function isRace({ path, host, autoSelectFamily }: ConnectOptions): boolean {
  return path === undefined && autoSelectFamily !== false && !isAddress(host ?? "localhost");
}

// Of a socket that is shown: what it tells is the dialled socket's to tell.
class HeldHandler implements SocketHandler {
  readonly #dial: DialSocket;

  constructor(dial: DialSocket) {
    this.#dial = dial;
  }

  onOpen(): void {
    this.#dial.handler.onOpen();
  }

  onClose(error?: SocketError): void {
    this.#dial.heldClosed(error);
  }

  onData(): void {}
  onEnd(): void {}
  onDrain(): void {}
}

/** A socket that is dialled: until one attempt has won it keeps what is asked of it, then it hands everything on. */
class DialSocket implements Socket, RaceOwner {
  readonly #settings: DialerSettings;
  readonly #clock: Clock;
  readonly #options: ConnectOptions;
  #handler: SocketHandler;
  /** The adapter's socket: the winner, or TLS over it. */
  inner: Socket | undefined;

  /** When the stage that is under way began: the look-up, then the race. */
  #stageMs: number;
  #lookupMs: number | undefined;
  #connectMs: number | undefined;
  #info: SocketInfo | undefined;

  #race: AddressRace | undefined;
  /** What is shown, until it has a connection. */
  #held: HeldConnect | undefined;

  #isDestroyed = false;
  #hasClosed = false;
  readonly #early = new EarlyCalls();

  constructor(settings: DialerSettings, options: ConnectOptions, handler: SocketHandler) {
    this.#settings = settings;
    this.#clock = settings.clock ?? systemClock;
    this.#stageMs = this.#clock.now();
    this.#options = options;
    this.#handler = handler;
  }

  // The race

  lookUp(): void {
    const { host = "localhost", lookup = this.#settings.lookup } = this.#options;
    const defer = this.#settings.defer ?? queueMicrotask;
    // A look-up may answer inside the call to it, which is inside the call to connect.
    const answer = (error: unknown, found?: unknown): void => defer(() => this.#found(error, found));
    callLookup(lookup, host, this.#question, answer);
  }

  // The caller's own look-up is asked what node:net asks it: one that knows no `all` may be written for a single answer.
  get #question(): Parameters<LookupFunction>[1] {
    const { family, hints, localAddress, lookup } = this.#options;
    if (lookup === undefined) {
      return { all: true, family: family ?? 0, ...hints === undefined ? {} : { hints } };
    }
    if (family === 4 || family === 6) return { family, hints: hints ?? 0 };
    const asked = {
      ...family === undefined ? {} : { family },
      hints: hints || this.#settings.lookupHints || 0,
    };
    return localAddress ? asked : { ...asked, all: true };
  }

  #found(
    error: unknown,
    found: unknown,
  ): void {
    if (this.#isGone) return;
    this.#lookupMs = this.#endStage();
    const { host = "localhost", family = 0, autoSelectFamilyAttemptTimeoutMs } = this.#options;
    if (error) return this.#failed(fromNodeError(error, { phase: "lookup", address: host }));
    let valid: LookupAddress[];
    try {
      valid = lookupAddresses(found ?? []);
    } catch (refusal) {
      return this.#failed(fromNodeError(refusal, { phase: "lookup", address: host }));
    }
    const usable = valid.filter((each) => family === 0 || each.family === family);
    if (usable.length === 0) return this.#failed(notFound(host));
    const addresses = interleave(usable);
    this.#held?.onLookup(addresses);
    // A listener of the one that is shown may have ended it.
    if (this.#isGone) return;
    this.#race = new AddressRace(
      addresses,
      autoSelectFamilyAttemptTimeoutMs,
      this.#clock,
      this,
      this.#early.isReferenced,
    );
    this.#race.start();
  }

  get #isGone(): boolean {
    return this.destroyed || this.#held?.isGone === true;
  }

  /** {@linkcode RaceOwner}. */
  onAttempt(address: LookupAddress): void {
    this.#held?.onAttempt(address);
    // A listener may have ended what is shown, which that tells later.
    if (this.#isGone) this.#race!.cancel();
  }

  /** {@linkcode RaceOwner}. */
  attempt(address: LookupAddress, handler: SocketHandler, reached: () => void): Socket {
    const options = this.#attemptOptions(address);
    return this.#settings.connect(options, handler, options.tls === undefined ? undefined : reached);
  }

  #attemptOptions({ address }: LookupAddress): ConnectOptions {
    const { host = "localhost", tls } = this.#options;
    return {
      ...this.#options,
      host: address,
      family: undefined,
      lookup: undefined,
      hints: undefined,
      autoSelectFamily: undefined,
      autoSelectFamilyAttemptTimeoutMs: undefined,
      // What is verified is the name.
      tls: tls === undefined || this.#held !== undefined || this.#upgrades()
        ? undefined
        : { ...tls, host: tls.host || host },
    };
  }

  #upgrades(): boolean {
    const { tls } = this.#options;
    const { tellsTransport, capabilities: { startTls, startTlsOptions } } = this.#settings;
    return tls !== undefined && tellsTransport !== true && startTls &&
      unsupportedTlsOption(tls, startTlsOptions) === undefined;
  }

  /** {@linkcode RaceOwner}. */
  onFailure(address: LookupAddress, error: SocketError): void {
    this.#held?.onFailure(address, error);
    if (this.#isGone) this.#race!.cancel();
  }

  /** {@linkcode RaceOwner}. */
  onLoss(errors: readonly SocketError[]): void {
    const { host = "localhost", port } = this.#options;
    this.#failed(raceError(errors, host, port));
  }

  /** {@linkcode RaceOwner}: the socket is the winner's from here on. */
  onWin(socket: Socket, isOpen: boolean): void {
    if (this.#held !== undefined) return this.#give(socket, this.#held);
    // Where TLS is a part of each attempt, it is over.
    this.#connectMs = this.#endStage() - (socket.info?.opening?.tlsMs ?? 0);
    const { host = "localhost", port, tls } = this.#options;
    if (isOpen && tls !== undefined && this.#upgrades()) {
      try {
        this.#handOver(socket.startTls!({ ...tls, host: tls.host || host, port }, this.#handler));
      } catch (error) {
        socket.destroy();
        this.#close(fromNodeError(error, { phase: "tls", address: host, port }));
      }
      return;
    }
    socket.handler = this.#handler;
    const hadEarly = this.#early.bytes > 0;
    this.#handOver(socket);
    // What becomes of TLS is the winner's to tell.
    if (!isOpen) return;
    tell(this.#handler, this.#handler.onOpen);
    // The adapter tells what it still had to send after write(); what it took at once is ours to tell.
    if (hadEarly && !socket.destroyed && socket.pendingBytes === 0) this.#handler.onDrain();
  }

  // What is shown

  /** Has the adapter make the socket that users see, unless it is too late: TLS may be a part of the attempts under way. */
  show(): void {
    if (this.inner !== undefined || this.#isDestroyed) return;
    if (this.#race !== undefined && this.#options.tls !== undefined) return;
    const held = this.#settings.hold?.(this.#options, new HeldHandler(this), (isReferenced) => {
      this.#early.isReferenced = isReferenced;
      this.#race?.reference(isReferenced);
    });
    if (held === undefined) return;
    this.#held = held;
    this.#handOver(held.socket);
    if (this.#race !== undefined) held.onLookup(this.#race.addresses);
  }

  #give(winner: Socket, held: HeldConnect): void {
    this.#held = undefined;
    held.socket.handler = this.#handler;
    held.adopt(winner);
    if (!this.#early.isReferenced) held.socket.unref?.();
  }

  /** What is shown is gone, before it had a connection. */
  heldClosed(error: SocketError | undefined): void {
    this.#held = undefined;
    this.#race?.cancel();
    this.#close(error);
  }

  #failed(error: SocketError): void {
    if (this.#held === undefined) this.#close(error);
    else this.#held.fail(error);
  }

  #endStage(): number {
    const startedMs = this.#stageMs;
    this.#stageMs = this.#clock.now();
    return this.#stageMs - startedMs;
  }

  #dialledInfo(info: SocketInfo | undefined): SocketInfo | undefined {
    // What was shown all the time has seen the stages itself.
    if (info === undefined || this.#connectMs === undefined) return info;
    const { tlsMs } = info.opening ?? {};
    return { ...info, opening: { lookupMs: this.#lookupMs, connectMs: this.#connectMs, tlsMs } };
  }

  #handOver(socket: Socket): void {
    this.inner = socket;
    this.#early.handTo(socket);
  }

  #close(error: SocketError | undefined): void {
    if (this.#hasClosed) return;
    this.#hasClosed = true;
    this.#isDestroyed = true;
    this.#early.drop();
    this.#handler.onClose(error);
  }

  // The socket's members: the adapter's, once there is one

  get handler(): SocketHandler {
    return this.#handler;
  }

  set handler(handler: SocketHandler) {
    this.#handler = handler;
    if (this.inner !== undefined && this.#held === undefined) this.inner.handler = handler;
  }

  get connecting(): boolean {
    return this.inner?.connecting ?? !this.#hasClosed;
  }

  get destroyed(): boolean {
    return this.inner?.destroyed ?? this.#isDestroyed;
  }

  get pendingBytes(): number {
    return this.inner?.pendingBytes ?? this.#early.bytes;
  }

  get bytesRead(): number {
    return this.inner?.bytesRead ?? 0;
  }

  get bytesWritten(): number {
    return this.inner?.bytesWritten ?? this.#early.bytes;
  }

  get info(): SocketInfo | undefined {
    return this.#info ??= this.#dialledInfo(this.inner?.info);
  }

  write(chunk: Uint8Array, more?: boolean): boolean {
    if (this.inner !== undefined) return this.inner.write(chunk, more);
    return !this.#isDestroyed && !this.#early.isEnding && this.#early.write(chunk);
  }

  end(): void {
    if (this.inner !== undefined) this.inner.end();
    else this.#early.isEnding = true;
  }

  destroy(error?: Error): void {
    this.#race?.cancel();
    if (this.inner !== undefined) return this.inner.destroy(error);
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    this.#early.drop();
    const { host = "localhost", port } = this.#options;
    const reason = error && fromNodeError(error, { phase: "connect", address: host, port });
    queueMicrotask(() => this.#close(reason));
  }

  pause(): void {
    this.#early.isPaused = true;
    this.inner?.pause();
  }

  resume(): void {
    this.#early.isPaused = false;
    this.inner?.resume();
  }

  ref(): void {
    this.#early.isReferenced = true;
    this.inner?.ref?.();
    this.#race?.reference(true);
  }

  unref(): void {
    this.#early.isReferenced = false;
    this.inner?.unref?.();
    this.#race?.reference(false);
  }

  setNoDelay(on: boolean): void {
    this.#early.noDelay = on;
    this.inner?.setNoDelay?.(on);
  }

  setKeepAlive(on: boolean, initialDelayMs: number): void {
    this.#early.keepAlive = { on, delayMs: initialDelayMs };
    this.inner?.setKeepAlive?.(on, initialDelayMs);
  }

  startTls(options: StartTlsOptions, handler: SocketHandler): Socket {
    readStartTls(options, this.#settings.capabilities);
    if (this.inner?.startTls === undefined) throw invalidState("start TLS on", "it is connecting");
    return this.inner.startTls(options, handler);
  }
}

function notFound(host: string): SocketError {
  return new SocketError(`getaddrinfo ENOTFOUND ${host}`, {
    code: "ENOTFOUND",
    phase: "lookup",
    syscall: "getaddrinfo",
    address: host,
  });
}
