/** A Bun that does as it is told: each order of events can be had at will, on every runtime. */
import { type BunLike, createBunConnect } from "../../src/runtime/bun.ts";
import type { BunHandlersLike, BunSocketLike, BunTlsLike } from "../../src/runtime/bun_like.ts";
import type { ConnectOptions, Socket } from "../../src/runtime/socket.ts";
import { Recorder } from "./node_harness.ts";

/** A socket of Bun's that writes down what is asked of it. */
export class FakeSocket implements BunSocketLike {
  data: unknown;
  readonly localAddress = "127.0.0.1";
  readonly localPort = 50_000;
  readonly remoteAddress = "127.0.0.1";
  readonly remotePort = 80;
  alpnProtocol: string | false = false;
  readonly log: string[];
  handlers: BunHandlersLike;
  /** What the next write() takes at most; -1: the peer is gone. */
  room: number = Infinity;
  upgraded: FakeSocket | undefined;
  upgrade: { tls: BunTlsLike; data: unknown } | undefined;

  constructor(handlers: BunHandlersLike, data: unknown, log: string[]) {
    this.handlers = handlers;
    this.data = data;
    this.log = log;
  }

  write(chunk: Uint8Array): number {
    const taken = Math.min(this.room, chunk.length);
    if (taken > 0) {
      this.log.push(
        `write ${chunk.length > 40 ? chunk.length : String.fromCharCode(...chunk.subarray(0, taken))}`,
      );
    }
    if (this.room !== Infinity && this.room > 0) this.room -= taken;
    return taken;
  }

  shutdown(): void {
    this.log.push("shutdown");
  }

  /** Bun calls the close handler inside the call. */
  close(): void {
    this.log.push("close");
    this.handlers.close(this);
  }

  terminate(): void {
    this.log.push("terminate");
  }

  pause(): void {
    this.log.push("pause");
  }

  resume(): void {
    this.log.push("resume");
  }

  ref(): void {
    this.log.push("ref");
  }

  unref(): void {
    this.log.push("unref");
  }

  setNoDelay(on?: boolean): boolean {
    this.log.push(`noDelay ${on}`);
    return true;
  }

  setKeepAlive(on?: boolean, delayMs?: number): boolean {
    this.log.push(`keepAlive ${on} ${delayMs}`);
    return true;
  }

  getTLSVersion(): string {
    return "TLSv1.3";
  }

  isSessionReused(): boolean {
    return false;
  }

  upgradeTLS(
    options: { tls: BunTlsLike; data: unknown; socket: BunHandlersLike },
  ): [BunSocketLike, BunSocketLike] {
    this.upgrade = options;
    this.upgraded = new FakeSocket(options.socket, options.data, this.log);
    // Bun calls open() of the new one inside the call.
    options.socket.open(this.upgraded);
    return [this, this.upgraded];
  }
}

/** A connect that is under way. */
interface Dial {
  readonly options: { socket: BunHandlersLike; data: unknown; tls?: BunTlsLike };
  readonly resolve: (socket: BunSocketLike) => void;
  readonly reject: (error: Error) => void;
}

/** A Bun whose connects end when the test says so. */
export class FakeBun implements BunLike {
  readonly dials: Dial[] = [];
  readonly log: string[] = [];

  connect(options: Dial["options"]): Promise<BunSocketLike> {
    return new Promise((resolve, reject) => this.dials.push({ options, resolve, reject }));
  }

  /** The connection is there; Bun calls open() before the promise resolves. */
  async open(): Promise<FakeSocket> {
    const { options, resolve } = this.dials.shift()!;
    const native = new FakeSocket(options.socket, options.data, this.log);
    options.socket.open(native);
    resolve(native);
    await settled();
    return native;
  }

  async refuse(error: Error): Promise<void> {
    const { options, reject } = this.dials.shift()!;
    options.socket.connectError(null as never, error);
    reject(error);
    await settled();
  }
}

/** A socket of ours and what is under it. */
interface World {
  readonly bun: FakeBun;
  readonly log: string[];
  readonly seen: Recorder;
  readonly socket: Socket;
}

/** Begins a connect. */
export function connecting(options: ConnectOptions = {}): World {
  const bun = new FakeBun();
  const seen = new Recorder();
  const socket = createBunConnect(bun)({ host: "peer.test", port: 80, ...options }, seen);
  return { bun, log: bun.log, seen, socket };
}

/** A connection that is open. */
export async function opened(options: ConnectOptions = {}): Promise<World & { native: FakeSocket }> {
  const world = connecting(options);
  const native = await world.bun.open();
  world.log.length = 0;
  return { ...world, native };
}

/** What waits in the microtask queue has run. */
export async function settled(): Promise<void> {
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
}
