/**
 * What the pool costs for one request with everything that lies around it, and how that grows: with the sockets of one origin,
 * with the waiters, with the origins, with the sockets closed at once. The sockets are fakes, which answer in a
 * microtask; node:http's own agent has the same ones.
 *
 * ```sh
 * node npm/esm/bench/pool_wiring.js [part of a row's name]       # or deno run -A bench/pool_wiring.ts, or bun
 * ```
 *
 * CPU time in microseconds a request, the best of the rounds; `last/first` is the growth. `addRequest` is our agent as a request
 * of node:http uses it, without that request; `node:http's` the same with the built-in agent. `memory alone` is no agent: as many
 * objects and bytes with nothing done with them (pool_control.ts). What it grows by is the collector's and the cache's.
 *
 * @module
 */
// deno-lint-ignore-file no-console -- this is a command: its output is the console
import * as http from "node:http";
import process from "node:process";
import { Duplex } from "node:stream";
import { Control } from "./pool_control.ts";
import { Agent, type AgentOptions, type Connect, type Socket, type SocketHandler } from "../mod.ts";

const only = process.argv[2] ?? "";
const ROUNDS = 3;
const REQUESTS = 10_000;
/** CPU time before the first row counts. */
const WARM_US = 700_000;
/** Requests under way at once, where a row does not say otherwise. */
const AT_ONCE = 10;

const RESPONSE = new TextEncoder().encode("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
/** A path by which the fake never answers. */
const HELD = "/held";
const HELD_BYTES = new TextEncoder().encode("GET /held");

function isHeld(head: Uint8Array): boolean {
  return HELD_BYTES.every((byte, at) => head[at] === byte);
}

/** The least that a Socket is. */
class FakeSocket implements Socket {
  connecting = true;
  destroyed = false;
  readonly pendingBytes = 0;
  readonly bytesRead = 0;
  readonly bytesWritten = 0;
  readonly info = undefined;
  handler: SocketHandler;

  constructor(handler: SocketHandler) {
    this.handler = handler;
    queueMicrotask(() => {
      this.connecting = false;
      this.handler.onOpen();
    });
  }

  write(chunk: Uint8Array): boolean {
    if (!isHeld(chunk)) queueMicrotask(() => this.handler.onData(RESPONSE));
    return true;
  }

  end(): void {
    queueMicrotask(() => this.destroyed || this.handler.onEnd());
  }

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    queueMicrotask(() => this.handler.onClose());
  }

  pause(): void {}
  resume(): void {}
}

const fakeConnect: Connect = (_options, handler) => new FakeSocket(handler);

class FakeStream extends Duplex {
  _httpMessage: unknown;
  override _read(): void {}
  override _write(_chunk: Uint8Array, _encoding: string, done: () => void): void {
    done();
  }
  // What Node's agent calls on each.
  setKeepAlive(): void {}
  setTimeout(): void {}
  ref(): void {}
  unref(): void {}
}

/** What an agent sees of a request of node:http, which is done as soon as it has a stream. */
class FakeRequest {
  readonly shouldKeepAlive = true;
  reusedSocket = false;
  readonly #isHeld: boolean;
  readonly #done: () => void;

  constructor(isHeld: boolean, done: () => void) {
    this.#isHeld = isHeld;
    this.#done = done;
  }

  onSocket(stream: FakeStream | undefined): void {
    if (stream === undefined) return this.#done();
    stream._httpMessage = this;
    if (this.#isHeld) return void stream.once("close", this.#done);
    queueMicrotask(() => {
      stream.emit("free");
      this.#done();
    });
  }

  getHeader(): undefined {}
  destroy(): void {}
}

/** One way to make requests. */
interface Contender {
  readonly name: string;
  /** Resolves when the response is read. */
  send(host: string, path: string): Promise<void>;
  destroy(): void;
}

const limits = { keepAlive: true, maxFreeSockets: 1_000_000 };

function own(options: AgentOptions): Contender {
  const agent = new Agent({ ...limits, runtime: fakeConnect, ...options });
  return {
    name: "agent.request",
    send: async (host, path) => await (await agent.request(`http://${host}${path}`)).body.dump(),
    destroy: () => agent.destroy(),
  };
}

/** What an agent of Node's kind does for its requests, and nothing of theirs. */
function byStream(name: string, agent: http.Agent): Contender {
  agent.createConnection = () => new FakeStream();
  const { addRequest } = agent as unknown as { addRequest(request: FakeRequest, options: object): void };
  return {
    name,
    send: (host, path) =>
      new Promise((resolve) => {
        addRequest.call(agent, new FakeRequest(path === HELD, resolve), { host, port: 80 });
      }),
    destroy: () => agent.destroy(),
  };
}

function memoryAlone({ maxSockets, maxTotalSockets }: AgentOptions): Contender {
  const control = new Control(Math.min(maxSockets ?? Infinity, maxTotalSockets ?? Infinity));
  return { name: "memory alone", send: (host) => control.send(host), destroy: (): void => {} };
}

/** The rows in which sockets are neither held nor closed. */
const CONTROLLED = /^(waiting|origins)/;

const CONTENDERS: readonly ((options: AgentOptions) => Contender)[] = [
  own,
  (options) => byStream("addRequest", new Agent({ ...limits, ...options }) as unknown as http.Agent),
  (options) => byStream("node:http's", new http.Agent({ ...limits, ...options } as http.AgentOptions)),
  memoryAlone,
];

const later = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

async function settled(): Promise<void> {
  for (let turn = 0; turn < 3; turn++) await later();
}

function cpu(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** Microseconds a request of `count`, `atOnce` of them at a time. */
async function cost(count: number, atOnce: number, send: (n: number) => Promise<unknown>): Promise<number> {
  let next = 0;
  const chain = async (): Promise<void> => {
    while (next < count) await send(next++);
  };
  const before = cpu();
  await Promise.all(Array.from({ length: atOnce }, chain));
  return (cpu() - before) / count;
}

/** One size of a row: its cost with one contender. */
type Task = (make: (options: AgentOptions) => Contender, size: number) => Promise<number>;

/** For each request while `waiting` senders keep the queue as long as it is; then `destroy` ends them. */
async function costOfWaiting(
  waiting: number,
  send: (n: number) => Promise<unknown>,
  destroy: () => void,
): Promise<number> {
  let isOver = false;
  let done = 0;
  let report = (): void => {};
  const chain = async (_: unknown, n: number): Promise<void> => {
    while (!isOver) {
      await quietly(send(n));
      if (++done === REQUESTS) report();
    }
  };
  const chains = Array.from({ length: waiting }, chain);
  await settled();
  done = 0;
  const before = cpu();
  await new Promise<void>((resolve) => report = resolve);
  const result = (cpu() - before) / REQUESTS;
  isOver = true;
  destroy();
  await Promise.all(chains);
  return result;
}

/** Keeps what fails when a contender is destroyed at the end of its row from anybody's ears. */
function quietly(promise: Promise<unknown>): Promise<unknown> {
  return promise.catch(() => {});
}

const byParked: Task = async (make, sockets) => {
  const { send, destroy } = make({ maxSockets: sockets + AT_ONCE });
  await Promise.all(Array.from({ length: sockets }, () => send("a", "/")));
  await settled();
  const result = await cost(REQUESTS, AT_ONCE, () => send("a", "/"));
  destroy();
  return result;
};

const byBusy: Task = async (make, sockets) => {
  const { send, destroy } = make({ maxSockets: sockets + AT_ONCE });
  const held = Array.from({ length: sockets }, () => quietly(send("a", HELD)));
  await settled();
  const result = await cost(REQUESTS, AT_ONCE, () => send("a", "/"));
  destroy();
  await Promise.all(held);
  return result;
};

const byWaiting = (limit: AgentOptions): Task => async (make, waiting) => {
  const { send, destroy } = make(limit);
  return await costOfWaiting(waiting + AT_ONCE, () => send("a", "/"), destroy);
};

const byOrigins = (hasTotal: boolean): Task => async (make, origins) => {
  const { send, destroy } = make(hasTotal ? { maxTotalSockets: origins + AT_ONCE, maxSockets: 4 } : {});
  const hosts = Array.from({ length: origins }, (_, n) => `host${n}`);
  await Promise.all(hosts.map((host) => send(host, "/")));
  await settled();
  const result = await cost(REQUESTS, AT_ONCE, (n) => send(hosts[n % origins]!, "/"));
  destroy();
  return result;
};

/** 100 sockets for all; 10,000 requests wait, spread over so many origins. */
const byOriginsWaiting: Task = async (make, origins) => {
  const { send, destroy } = make({ maxTotalSockets: 100, maxSockets: 4 });
  return await costOfWaiting(10_100, (n) => send(`host${n % origins}`, "/"), destroy);
};

/** For each socket that is closed. */
const byClosed: Task = async (make, sockets) => {
  const { send, destroy } = make({ maxSockets: sockets });
  await Promise.all(Array.from({ length: sockets }, () => send("a", "/")));
  await settled();
  const before = cpu();
  destroy();
  await settled();
  return (cpu() - before) / sockets;
};

const SOCKETS = [1, 10, 100, 1_000, 5_000];
const WAITING = [10, 100, 1_000, 10_000, 100_000];
const ORIGINS = [1, 10, 100, 1_000, 10_000];

const ROWS: readonly [string, readonly number[], Task][] = [
  ["parked sockets of the origin", SOCKETS, byParked],
  ["busy sockets of the origin", SOCKETS, byBusy],
  ["waiting, maxSockets", WAITING, byWaiting({ maxSockets: AT_ONCE })],
  ["waiting, maxTotalSockets", WAITING, byWaiting({ maxTotalSockets: AT_ONCE })],
  ["origins", ORIGINS, byOrigins(false)],
  ["origins, both caps", ORIGINS, byOrigins(true)],
  ["origins waiting, both caps", [100, 1_000, 10_000], byOriginsWaiting],
  ["closed at once", [50, 500, 5_000], byClosed],
];

for (const [title, sizes, task] of ROWS) {
  if (!title.includes(only)) continue;
  console.log(`by ${title}`);
  for (const make of CONTENDERS) {
    if (make === memoryAlone && !CONTROLLED.test(title)) continue;
    // A row that has taken too long already does so at larger sizes, too.
    const costs: number[] = [];
    for (const start = cpu(); cpu() - start < WARM_US;) await task(make, sizes[0]!);
    for (const size of sizes) {
      let best = Infinity;
      for (let round = 0; round < ROUNDS; round++) best = Math.min(best, await task(make, size));
      costs.push(best);
      if (best > 2_000) break;
    }
    const cells = costs.map((value, n) => `${sizes[n]}: ${value.toFixed(1)}`).join(", ");
    const { name } = make({});
    console.log(`  ${name.padEnd(14)} ${cells}   last/first ${(costs.at(-1)! / costs[0]!).toFixed(2)}`);
  }
}
process.exit();
