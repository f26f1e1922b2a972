/**
 * From a name to a connection: Happy Eyeballs (RFC 8305) over any adapter.
 *
 * Owns the look-up, the order of the addresses, the race of the attempts and what is asked of the socket before there is
 * one. Must not know which adapter it dials with, nor any clock or resolver but those that it is given.
 *
 * Strategy: addresses of the two families alternate; an attempt starts 250 ms after the one before it, or at once when an
 * attempt fails; the others are cancelled only when one has won. Node instead gives each attempt 250 ms and then kills it,
 * so that a peer that is farther away is never reached (docs/defects.md, D16). The race is for TCP and ends where
 * TLS begins, or a handshake of more than 250 ms would cost every peer a second connection.
 *
 * @module
 */

import { type Clock, systemClock, type Timer } from "../clock.ts";
import { callLookup, lookupAddresses, readConnectOptions } from "./connect_options.ts";
import { assertHonoured, fromNodeError, invalidState, SocketError, throwLater } from "./errors.ts";
import {
  type Capabilities,
  type Connect,
  type ConnectOptions,
  type LookupAddress,
  type LookupFunction,
  type Socket,
  type SocketHandler,
  type SocketInfo,
  type StartTlsOptions,
  unsupportedOption,
  unsupportedTlsOption,
} from "./socket.ts";
import { readStartTls } from "./start_tls.ts";

/** A `Connect` that may call `onTransport`, once, when a connection is there and TLS begins on it. */
export type AttemptConnect = (
  options: ConnectOptions,
  handler: SocketHandler,
  onTransport?: () => void,
) => Socket;

/** What a dialer works with. */
export interface DialerSettings {
  /** Makes each attempt. */
  readonly connect: AttemptConnect;
  /** `connect` calls `onTransport`; else TLS is started on the winner, or is a part of each attempt. Default false. */
  readonly tellsTransport?: boolean | undefined;
  /** What `connect` honours. `family`, `lookup` and `hints` the dialer honours itself. */
  readonly capabilities: Capabilities;
  /** Finds all addresses of a name, unless a connect brings a look-up of its own. */
  readonly lookup: LookupFunction;
  /** Default: the system's. */
  readonly clock?: Clock | undefined;
}

/** RFC 8305 section 5: the recommended time from one attempt to the next, ms. */
const ATTEMPT_DELAY_MS = 250;
/** RFC 8305 section 5: the least, ms. */
const MIN_ATTEMPT_DELAY_MS = 10;
/** From this many early bytes on `write()` asks to wait; the adapters' mark. */
const HIGH_WATER_BYTES = 65536;

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

/** Addresses in the order of RFC 8305 section 4: the families alternate, beginning with that of the first address. */
export function interleave(addresses: readonly LookupAddress[]): LookupAddress[] {
  const first = addresses.filter(({ family }) => family === addresses[0]!.family);
  const second = addresses.filter(({ family }) => family !== addresses[0]!.family);
  const result: LookupAddress[] = [];
  for (let index = 0; index < Math.max(first.length, second.length); index++) {
    if (index < first.length) result.push(first[index]!);
    if (index < second.length) result.push(second[index]!);
  }
  return result;
}

function isRace({ path, host, autoSelectFamily }: ConnectOptions): boolean {
  return path === undefined && autoSelectFamily !== false && !isAddress(host ?? "localhost");
}

function isAddress(host: string): boolean {
  return host.includes(":") || /^\d+\.\d+\.\d+\.\d+$/.test(host);
}

// One address: tells the race, and nobody else, because there is nothing to tell between a connect and its end.
class Attempt implements SocketHandler {
  readonly #race: DialSocket;
  readonly index: number;
  socket!: Socket;

  constructor(race: DialSocket, index: number) {
    this.#race = race;
    this.index = index;
  }

  onOpen(): void {
    this.#race.won(this);
  }

  onClose(error?: SocketError): void {
    this.#race.lost(this, error);
  }

  onData(): void {}
  onEnd(): void {}
  onDrain(): void {}
}

/** A socket that is dialled: until one attempt has won it keeps what is asked of it, then it hands everything on. */
class DialSocket implements Socket {
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

  #addresses: LookupAddress[] = [];
  #next = 0;
  readonly #attempts: Set<Attempt> = new Set();
  readonly #errors: SocketError[] = [];
  #timer: Timer | undefined;

  #isDestroyed = false;
  #hasClosed = false;
  #early: Uint8Array[] = [];
  #earlyBytes = 0;
  #isEnding = false;
  #isPaused = false;
  #isReferenced = true;
  #noDelay: boolean | undefined;
  #keepAlive: { readonly on: boolean; readonly delayMs: number } | undefined;

  constructor(settings: DialerSettings, options: ConnectOptions, handler: SocketHandler) {
    this.#settings = settings;
    this.#clock = settings.clock ?? systemClock;
    this.#stageMs = this.#clock.now();
    this.#options = options;
    this.#handler = handler;
  }

  // The race

  lookUp(): void {
    const { host = "localhost", family = 0, hints, lookup = this.#settings.lookup } = this.#options;
    // A look-up may answer inside the call to it, which is inside the call to connect.
    const answer = (error: unknown, found?: unknown): void => queueMicrotask(() => this.#found(error, found));
    callLookup(lookup, host, { all: true, family, ...(hints === undefined ? {} : { hints }) }, answer);
  }

  #found(
    error: unknown,
    found: unknown,
  ): void {
    if (this.#isDestroyed) return;
    this.#lookupMs = this.#endStage();
    const { host = "localhost" } = this.#options;
    if (error) return this.#close(fromNodeError(error, { phase: "lookup", address: host }));
    const { family = 0 } = this.#options;
    let valid: LookupAddress[];
    try {
      valid = lookupAddresses(found ?? []);
    } catch (refusal) {
      return this.#close(fromNodeError(refusal, { phase: "lookup", address: host }));
    }
    const usable = valid.filter((each) => family === 0 || each.family === family);
    if (usable.length === 0) return this.#close(notFound(host));
    this.#addresses = interleave(usable);
    this.#startNext();
  }

  readonly #startNext = (): void => {
    this.#timer?.cancel();
    const index = this.#next++;
    const attempt = new Attempt(this, index);
    this.#attempts.add(attempt);
    if (this.#next < this.#addresses.length) {
      const asked = this.#options.autoSelectFamilyAttemptTimeoutMs ?? ATTEMPT_DELAY_MS;
      // The attempt holds the process, so the timer need not.
      this.#timer = this.#clock.after(Math.max(MIN_ATTEMPT_DELAY_MS, asked), this.#startNext);
    }
    try {
      const options = this.#attemptOptions(this.#addresses[index]!);
      attempt.socket = this.#settings.connect(options, attempt, () => this.#reached(attempt));
    } catch (error) {
      this.lost(attempt, fromNodeError(error, { phase: "connect" }));
      return;
    }
    if (!this.#isReferenced) attempt.socket.unref?.();
  };

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
      tls: tls === undefined || this.#upgrades() ? undefined : { ...tls, host: tls.host || host },
    };
  }

  #upgrades(): boolean {
    const { tls } = this.#options;
    const { tellsTransport, capabilities: { startTls, startTlsOptions } } = this.#settings;
    return tls !== undefined && tellsTransport !== true && startTls &&
      unsupportedTlsOption(tls, startTlsOptions) === undefined;
  }

  /** An attempt failed. */
  lost(attempt: Attempt, error: SocketError | undefined): void {
    if (!this.#attempts.delete(attempt)) return;
    this.#errors[attempt.index] = error ?? fromNodeError(undefined, { phase: "connect" });
    if (this.#next < this.#addresses.length) this.#startNext();
    else if (this.#attempts.size === 0) this.#close(this.#allFailed());
  }

  // The race is won; what becomes of TLS is the winner's to tell.
  #reached(attempt: Attempt): void {
    if (this.#options.tls === undefined || !this.#attempts.delete(attempt)) return;
    this.#cancelAttempts();
    attempt.socket.handler = this.#handler;
    this.#adopt(attempt.socket);
  }

  /** An attempt succeeded: the others are cancelled, and the socket is the winner's from here on. */
  won(attempt: Attempt): void {
    this.#attempts.delete(attempt);
    this.#cancelAttempts();
    const { socket } = attempt;
    const { host = "localhost", port, tls } = this.#options;
    if (tls !== undefined && this.#upgrades()) {
      try {
        this.#adopt(socket.startTls!({ ...tls, host: tls.host || host, port }, this.#handler));
      } catch (error) {
        socket.destroy();
        this.#close(fromNodeError(error, { phase: "tls", address: host, port }));
      }
      return;
    }
    socket.handler = this.#handler;
    const hadEarly = this.#earlyBytes > 0;
    this.#adopt(socket);
    try {
      this.#handler.onOpen();
    } catch (error) {
      throwLater(error);
    }
    // The adapter tells what it still had to send after write(); what it took at once is ours to tell.
    if (hadEarly && !socket.destroyed && socket.pendingBytes === 0) this.#handler.onDrain();
  }

  #endStage(): number {
    const startedMs = this.#stageMs;
    this.#stageMs = this.#clock.now();
    return this.#stageMs - startedMs;
  }

  #dialledInfo(info: SocketInfo | undefined): SocketInfo | undefined {
    if (info === undefined) return undefined;
    const { tlsMs } = info.opening ?? {};
    return { ...info, opening: { lookupMs: this.#lookupMs, connectMs: this.#connectMs, tlsMs } };
  }

  #adopt(socket: Socket): void {
    this.inner = socket;
    // Where TLS is a part of each attempt, it is over.
    this.#connectMs = this.#endStage() - (socket.info?.opening?.tlsMs ?? 0);
    if (!this.#isReferenced) socket.unref?.();
    if (this.#isPaused) socket.pause();
    if (this.#noDelay !== undefined) socket.setNoDelay?.(this.#noDelay);
    if (this.#keepAlive !== undefined) socket.setKeepAlive?.(this.#keepAlive.on, this.#keepAlive.delayMs);
    const early = this.#early;
    this.#early = [];
    this.#earlyBytes = 0;
    early.forEach((chunk, index) => socket.write(chunk, index < early.length - 1));
    if (this.#isEnding) socket.end();
  }

  #cancelAttempts(): void {
    this.#timer?.cancel();
    const attempts = [...this.#attempts];
    this.#attempts.clear();
    for (const attempt of attempts) attempt.socket.destroy();
  }

  #allFailed(): SocketError {
    const errors = this.#errors;
    if (errors.length === 1) return errors[0]!;
    const { host = "localhost", port } = this.#options;
    const { code } = errors[0]!;
    const message = `Cannot connect to "${host}": ${errors.map((error) => error.message).join("; ")}`;
    const cause = Object.assign(new AggregateError(errors, message), { code });
    return new SocketError(message, {
      code,
      phase: "connect",
      syscall: "connect",
      address: host,
      port,
      cause,
    });
  }

  #close(error: SocketError | undefined): void {
    if (this.#hasClosed) return;
    this.#hasClosed = true;
    this.#isDestroyed = true;
    this.#early = [];
    this.#earlyBytes = 0;
    this.#handler.onClose(error);
  }

  // The socket's members: the adapter's, once there is one

  get handler(): SocketHandler {
    return this.#handler;
  }

  set handler(handler: SocketHandler) {
    this.#handler = handler;
    if (this.inner !== undefined) this.inner.handler = handler;
  }

  get connecting(): boolean {
    return this.inner?.connecting ?? !this.#hasClosed;
  }

  get destroyed(): boolean {
    return this.inner?.destroyed ?? this.#isDestroyed;
  }

  get pendingBytes(): number {
    return this.inner?.pendingBytes ?? this.#earlyBytes;
  }

  get bytesRead(): number {
    return this.inner?.bytesRead ?? 0;
  }

  get bytesWritten(): number {
    return this.inner?.bytesWritten ?? this.#earlyBytes;
  }

  get info(): SocketInfo | undefined {
    return this.#info ??= this.#dialledInfo(this.inner?.info);
  }

  write(chunk: Uint8Array, more?: boolean): boolean {
    if (this.inner !== undefined) return this.inner.write(chunk, more);
    if (this.#isDestroyed || this.#isEnding) return false;
    if (chunk.length > 0) this.#early.push(chunk);
    this.#earlyBytes += chunk.length;
    return this.#earlyBytes < HIGH_WATER_BYTES;
  }

  end(): void {
    if (this.inner !== undefined) this.inner.end();
    else this.#isEnding = true;
  }

  destroy(error?: Error): void {
    if (this.inner !== undefined) return this.inner.destroy(error);
    if (this.#isDestroyed) return;
    this.#isDestroyed = true;
    this.#early = [];
    this.#earlyBytes = 0;
    this.#cancelAttempts();
    const { host = "localhost", port } = this.#options;
    const reason = error && fromNodeError(error, { phase: "connect", address: host, port });
    queueMicrotask(() => this.#close(reason));
  }

  pause(): void {
    this.#isPaused = true;
    this.inner?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.inner?.resume();
  }

  ref(): void {
    this.#isReferenced = true;
    this.inner?.ref?.();
    for (const { socket } of this.#attempts) socket.ref?.();
  }

  unref(): void {
    this.#isReferenced = false;
    this.inner?.unref?.();
    for (const { socket } of this.#attempts) socket.unref?.();
  }

  setNoDelay(on: boolean): void {
    this.#noDelay = on;
    this.inner?.setNoDelay?.(on);
  }

  setKeepAlive(on: boolean, initialDelayMs: number): void {
    this.#keepAlive = { on, delayMs: initialDelayMs };
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
