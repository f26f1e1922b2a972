/**
 * What the conformance tests are written in: clients and peers that write down what they are told.
 *
 * Owns the invariants that hold for every event of every test, the waiting for events, and the closing of what a test
 * opened. Must not know which adapter it runs on, nor uvu. Strategy: every call to a socket goes through
 * {@linkcode Client}, so that an event inside a call is seen wherever it happens; what breaks an invariant fails the
 * test that it happens in.
 *
 * @module
 */

import { systemClock } from "../clock.ts";
import type { SocketError } from "./errors.ts";
import type {
  ConformanceHarness,
  ConformanceListener,
  ConformancePeer,
  ConformancePeerEvents,
  Cut,
  Needs,
  PeerKind,
} from "./conformance_harness.ts";
import type { ConnectOptions, Socket, SocketHandler } from "./socket.ts";

/** How long a test waits for an event by default, ms: far more than loopback takes. */
const DEADLINE_MS = 10_000;
/** How long nothing may happen before a test believes that nothing will, ms. */
const QUIET_MS = 30;

/** Members of a handler that a test adds to what {@linkcode Client} does itself. */
export type Hooks = Partial<SocketHandler>;

/** Fails a test. */
export class ConformanceFailure extends Error {
  /** Tells it from an error of the adapter. */
  override readonly name: string = "ConformanceFailure";
}

/** Fails the test unless `condition` holds. */
export function check(condition: boolean, what: string): asserts condition {
  if (!condition) throw new ConformanceFailure(what);
}

/** Fails the test unless the two are equal, by their JSON. */
export function equal(actual: unknown, expected: unknown, what: string): void {
  const [left, right] = [JSON.stringify(actual), JSON.stringify(expected)];
  if (left !== right) throw new ConformanceFailure(`${what}: expected ${right}, got ${left}`);
}

/** Byte `index` of the stream number `stream`: no short period, so that a slip or a swap is seen. */
export function patternByte(stream: number, index: number): number {
  return (index * 31 + (index >>> 8) * 17 + (index >>> 16) * 5 + stream * 101) & 0xff;
}

/** Bytes `from` to `from + length` of a stream. */
export function pattern(stream: number, from: number, length: number): Uint8Array {
  const bytes = new Uint8Array(length);
  for (let index = 0; index < length; index++) bytes[index] = patternByte(stream, from + index);
  return bytes;
}

/** Text as bytes, one a character. */
export function bytes(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

/** Keeps what came, or compares it with a pattern. */
export class Intake {
  /** Bytes so far. */
  length = 0;
  /** Index of the first byte that was not the pattern's, or -1. */
  wrongAt = -1;
  /** What came, as text; empty where a pattern is expected. */
  text = "";
  #stream: number | undefined = undefined;

  /** From now on everything is compared with the pattern of this stream, and not kept. */
  expect(stream: number): void {
    this.#stream = stream;
  }

  /** Takes a chunk in. */
  add(chunk: Uint8Array): void {
    if (this.#stream === undefined) {
      for (const byte of chunk) this.text += String.fromCharCode(byte);
    } else if (this.wrongAt === -1) {
      for (let index = 0; index < chunk.length; index++) {
        if (chunk[index] === patternByte(this.#stream, this.length + index)) continue;
        this.wrongAt = this.length + index;
        break;
      }
    }
    this.length += chunk.length;
  }
}

/** A socket under test. */
export class Client implements SocketHandler {
  /** `open`, `data 3`, `end`, `drain`, `close`, `close ECONNRESET`, in the order of the events. */
  readonly log: string[] = [];
  /** What came. */
  readonly intake: Intake = new Intake();
  /** The error of `onClose`. */
  error: SocketError | undefined = undefined;
  /** The argument of `onEnd`. */
  authenticated: boolean | undefined = undefined;
  /** What the test adds. */
  hooks: Hooks;
  /** The socket; set when `connect()` has returned. */
  socket!: Socket;
  readonly #scenario: Scenario;
  #isOpen = false;
  #isEnded = false;
  #isClosed = false;

  /** Made by {@linkcode Scenario.connect}. */
  constructor(scenario: Scenario, hooks: Hooks) {
    this.#scenario = scenario;
    this.hooks = hooks;
  }

  /** `onOpen` came. */
  get isOpen(): boolean {
    return this.#isOpen;
  }

  /** `onEnd` came. */
  get isEnded(): boolean {
    return this.#isEnded;
  }

  /** `onClose` came. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** The log without `drain`, and with runs of data as one entry: what is the same on every run. */
  get story(): string[] {
    const story: string[] = [];
    for (const entry of this.log) {
      const word = entry.startsWith("data") ? "data" : entry;
      if (word === "drain" || (word === "data" && story[story.length - 1] === "data")) continue;
      story.push(word);
    }
    return story;
  }

  /** Calls the socket; any event before it returns is a violation. */
  call<T>(fn: (socket: Socket) => T): T {
    return this.#scenario.guard(() => fn(this.socket));
  }

  /** {@linkcode Socket.write}, of text or bytes. */
  write(data: string | Uint8Array, more?: boolean): boolean {
    return this.call((socket) => socket.write(typeof data === "string" ? bytes(data) : data, more));
  }

  /** {@linkcode Socket.end}. */
  end(): void {
    this.call((socket) => socket.end());
  }

  /** {@linkcode Socket.destroy}. */
  destroy(error?: Error): void {
    this.call((socket) => socket.destroy(error));
  }

  /** {@linkcode Socket.pause}. */
  pause(): void {
    this.call((socket) => socket.pause());
  }

  /** {@linkcode Socket.resume}. */
  resume(): void {
    this.call((socket) => socket.resume());
  }

  /** Writes down the event. */
  onOpen(): void {
    this.#event("open", !this.#isOpen && this.log.length === 0);
    this.#isOpen = true;
    this.#hold(this.socket !== undefined, "onOpen came before connect() returned");
    this.#hold(this.socket?.connecting === false, "connecting is true in onOpen");
    this.hooks.onOpen?.();
    this.#scenario.notify();
  }

  /** Writes down the event. */
  onData(chunk: Uint8Array): void {
    this.#event(`data ${chunk.length}`, this.#isOpen && !this.#isEnded);
    this.#hold(chunk.length > 0, "onData came with no bytes");
    this.intake.add(chunk);
    this.#hold(this.socket.bytesRead === this.intake.length, "bytesRead is not what onData was given");
    this.hooks.onData?.(chunk);
    this.#scenario.notify();
  }

  /** Writes down the event. */
  onEnd(authenticated?: boolean): void {
    this.#event("end", this.#isOpen && !this.#isEnded);
    this.#isEnded = true;
    this.authenticated = authenticated;
    this.hooks.onEnd?.(authenticated);
    this.#scenario.notify();
  }

  /** Writes down the event. */
  onDrain(): void {
    this.#event("drain", this.#isOpen);
    this.#hold(this.socket.pendingBytes === 0, "pendingBytes is not 0 in onDrain");
    this.hooks.onDrain?.();
    this.#scenario.notify();
  }

  /** Writes down the event. */
  onClose(error?: SocketError): void {
    this.#event(error === undefined ? "close" : `close ${error.code}`, true);
    this.#isClosed = true;
    this.error = error;
    this.#hold(this.socket?.destroyed === true, "destroyed is false in onClose");
    this.#hold(this.socket?.connecting === false, "connecting is true in onClose");
    this.#hold(this.socket?.pendingBytes === 0, "pendingBytes is not 0 in onClose");
    this.#hold(
      error === undefined || isSocketError(error),
      "onClose came with an error that is no SocketError",
    );
    this.hooks.onClose?.(error);
    this.#scenario.notify();
  }

  #event(name: string, isInOrder: boolean): void {
    this.#hold(!this.#scenario.isGuarded, `${name} came inside a call to a socket`);
    this.#hold(!this.#isClosed, `${name} came after onClose`);
    this.#hold(isInOrder, `${name} came after ${this.log.join(", ") || "nothing"}`);
    this.log.push(name);
  }

  #hold(condition: boolean, what: string): void {
    if (!condition) this.#scenario.violate(what);
  }
}

// By shape: a user's own adapter may hold another copy of the class.
function isSocketError(error: Error): boolean {
  const { code, phase } = error as { code?: unknown; phase?: unknown };
  return error instanceof Error && typeof code === "string" && typeof phase === "string";
}

/** The server's end of a connection under test. */
export class Peer implements ConformancePeerEvents {
  /** What came. */
  readonly intake: Intake = new Intake();
  /** The client's FIN came. */
  isEnded = false;
  /** The connection is gone. */
  isClosed = false;
  /** The harness's own. */
  readonly raw: ConformancePeer;
  /** What the test adds to `onData`. */
  onDataHook: (() => void) | undefined = undefined;
  readonly #scenario: Scenario;

  /** Made for each connection accepted. */
  constructor(scenario: Scenario, raw: ConformancePeer) {
    this.#scenario = scenario;
    this.raw = raw;
  }

  /** Sends text or bytes. */
  send(data: string | Uint8Array): void {
    this.raw.send(typeof data === "string" ? bytes(data) : data);
  }

  /** Writes down the event. */
  onData(chunk: Uint8Array): void {
    this.intake.add(chunk);
    this.onDataHook?.();
    this.#scenario.notify();
  }

  /** Writes down the event. */
  onEnd(): void {
    this.isEnded = true;
    this.#scenario.notify();
  }

  /** Writes down the event. */
  onClose(): void {
    this.isClosed = true;
    this.#scenario.notify();
  }
}

/** A listener with the peers that it has accepted, in order. */
export interface Server extends ConformanceListener {
  /** One for each connection. */
  readonly peers: readonly Peer[];
}

interface Waiter {
  readonly test: () => boolean;
  readonly settle: (failure?: Error) => void;
}

/** One test's world: what it opens is closed with it. */
export class Scenario {
  /** The harness of the adapter under test. */
  readonly harness: ConformanceHarness;
  readonly #clients: Client[] = [];
  readonly #listeners: ConformanceListener[] = [];
  #waiters: Waiter[] = [];
  #violations: string[] = [];
  #guards = 0;

  /** Made for each test. */
  constructor(harness: ConformanceHarness) {
    this.harness = harness;
  }

  /** A call to a socket is under way. */
  get isGuarded(): boolean {
    return this.#guards > 0;
  }

  /** Runs a call to a socket. */
  guard<T>(fn: () => T): T {
    this.#guards++;
    try {
      return fn();
    } finally {
      this.#guards--;
    }
  }

  /** Starts a peer; `onPeer` is told of each connection before its first event. */
  async listen(kind: PeerKind = "plain", onPeer?: (peer: Peer) => void, cut?: Cut): Promise<Server> {
    const peers: Peer[] = [];
    const accept = (raw: ConformancePeer): ConformancePeerEvents => {
      const peer = new Peer(this, raw);
      peers.push(peer);
      onPeer?.(peer);
      this.notify();
      return peer;
    };
    const listener = await this.harness.listen(kind, accept, cut);
    this.#listeners.push(listener);
    return { options: listener.options, close: () => listener.close(), peers };
  }

  /** Dials. */
  connect(options: ConnectOptions, hooks: Hooks = {}): Client {
    return this.adopt(hooks, (handler) => this.harness.connect(options, handler));
  }

  /** A client over a socket that another one turns into: `startTls`. */
  adopt(hooks: Hooks, start: (handler: SocketHandler) => Socket): Client {
    const client = new Client(this, hooks);
    client.socket = this.guard(() => start(client));
    this.#clients.push(client);
    return client;
  }

  /** One open connection. */
  async pair(
    kind: PeerKind = "plain",
    hooks: Hooks = {},
    onPeer?: (peer: Peer) => void,
  ): Promise<{ client: Client; peer: Peer; server: Server }> {
    const server = await this.listen(kind, onPeer);
    const client = this.connect(server.options, hooks);
    await this.until(() => client.isOpen && server.peers.length > 0, "the connection to open");
    return { client, peer: server.peers[0]!, server };
  }

  /** Resolves once `test` holds after some event. */
  async until(test: () => boolean, what: string): Promise<void> {
    if (test()) return;
    await new Promise<void>((resolve, reject) => {
      const settle = (failure?: Error): void => {
        deadline.cancel();
        if (failure === undefined) resolve();
        else reject(failure);
      };
      const waiter: Waiter = { test, settle };
      const late = (): void => {
        this.#waiters = this.#waiters.filter((other) => other !== waiter);
        settle(new ConformanceFailure(`Waited in vain for ${what}; ${this.#print()}`));
      };
      const deadline = systemClock.after(this.harness.deadlineMs ?? DEADLINE_MS, late, { ref: true });
      this.#waiters.push(waiter);
    });
  }

  /** Resolves when nothing more is going to happen by itself. */
  async quiet(): Promise<void> {
    if (this.harness.quiet !== undefined) return await this.harness.quiet();
    await new Promise<void>((resolve) => void systemClock.after(QUIET_MS, resolve, { ref: true }));
  }

  /** Resolves some turns of the event loop later. */
  async turns(count: number): Promise<void> {
    for (let turn = 0; turn <= count; turn++) {
      await new Promise<void>((resolve) => void systemClock.after(0, resolve, { ref: true }));
    }
  }

  /** Looks again whether somebody's wait is over. */
  notify(): void {
    if (this.#waiters.length === 0) return;
    const failure = this.#violations.length > 0 ? this.#failure() : undefined;
    const done = this.#waiters.filter(({ test }) => failure !== undefined || test());
    if (done.length === 0) return;
    this.#waiters = this.#waiters.filter((waiter) => !done.includes(waiter));
    for (const { settle } of done) settle(failure);
  }

  /** An invariant was broken. */
  violate(what: string): void {
    if (this.#violations.length < 10) this.#violations.push(what);
  }

  /** Closes everything, and fails where an invariant was broken. */
  async finish(): Promise<void> {
    const open = this.#clients.filter((client) => !client.socket.destroyed);
    for (const client of open) client.destroy();
    try {
      await this.until(
        () => open.every((client) => client.isClosed || client.socket.handler !== client),
        "onClose",
      );
    } finally {
      await Promise.all(this.#listeners.map((listener) => listener.close()));
    }
    if (this.#violations.length > 0) throw this.#failure();
  }

  #failure(): ConformanceFailure {
    return new ConformanceFailure(`${this.#violations.join("; ")}; ${this.#print()}`);
  }

  #print(): string {
    return this.#clients.slice(0, 3).map(({ log }) => `[${log.slice(-12).join(", ")}]`).join(" ");
  }
}

/** Adds a test to the suite. */
export type AddTest = (name: string, body: (scenario: Scenario) => Promise<void>, needs?: Needs) => void;
