/**
 * The cost of a request as an outsider sees it: a Duplex for a socket, given by `createConnection`, that answers what is written in the
 * next tick; agents made as users make them; the runtime's own http.request, our http face and agent.request. Beside them
 * node:http's own Agent with the same sockets, and `memory alone`: no agent, but as many objects and bytes as agent.request makes, with
 * nothing done with them (pool_control.ts). What that grows by is the collector's and the cache's.
 *
 * ```sh
 * node npm/esm/bench/pool_faces.js [part of a row's name] [part of a contender's]     # or deno run -A bench/pool_faces.ts, or bun
 * ```
 *
 * CPU time in microseconds a request, the best of the rounds; `last/first` is the growth.
 *
 * @module
 */
// deno-lint-ignore-file no-console -- this is a command: its output is the console
import * as http from "node:http";
import process from "node:process";
import { Duplex } from "node:stream";
import { Control } from "./pool_control.ts";
import { Agent } from "../mod.ts";
import * as face from "../src/http.ts";

const rows = process.argv[2] ?? "";
const contenders = process.argv[3] ?? "";
const ROUNDS = 3;
/** Requests of a round. */
const REQUESTS = 10_000;
/** CPU time before the first row of a contender counts. */
const WARM_US = 1_500_000;
/** Requests under way at once, and sockets for them, where a row does not say otherwise. */
const AT_ONCE = 10;

const RESPONSE = Buffer.from("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
const HELD = Buffer.from("GET /held");

class FakeSocket extends Duplex {
  override _read(): void {}

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    done();
    if (HELD.equals(chunk.subarray(0, HELD.length))) return;
    process.nextTick(() => this.destroyed || this.push(RESPONSE));
  }

  override _final(done: () => void): void {
    done();
    this.push(null);
  }

  setKeepAlive(): this {
    return this;
  }

  setNoDelay(): this {
    return this;
  }

  setTimeout(): this {
    return this;
  }

  ref(): this {
    return this;
  }

  unref(): this {
    return this;
  }
}

interface Limits {
  readonly maxSockets?: number;
  readonly maxTotalSockets?: number;
}

/** One way to make requests. */
interface Contender {
  /** Resolves when the response is read, or its request has failed. */
  send(host: string, path?: string): Promise<void>;
  destroy(): void;
}

const options = (limits: Limits): object => ({ keepAlive: true, maxFreeSockets: 1_000_000, ...limits });

function byRequest(request: typeof http.request, agent: http.Agent): Contender {
  agent.createConnection = () => new FakeSocket();
  return {
    send: (host, path = "/") =>
      new Promise((resolve) => {
        const ignore = (): void => {};
        const made = request({ host, path, agent }, (response) => response.on("error", ignore).resume());
        made.on("error", ignore).on("close", resolve).end();
      }),
    destroy: () => agent.destroy(),
  };
}

const CONTENDERS: Readonly<Record<string, (limits: Limits) => Contender>> = {
  "agent.request": (limits) => {
    const agent = new Agent(options(limits));
    agent.createConnection = () => new FakeSocket();
    return {
      async send(host, path = "/"): Promise<void> {
        try {
          const { body } = await agent.request(`http://${host}${path}`);
          await body.text();
        } catch {
          // The agent was destroyed.
        }
      },
      destroy: () => agent.destroy(),
    };
  },
  "our http.request": (limits) =>
    byRequest(face.request as unknown as typeof http.request, new face.Agent(options(limits)) as http.Agent),
  "node:http, our agent": (limits) =>
    byRequest(http.request, new Agent(options(limits)) as unknown as http.Agent),
  "node:http, its agent": (limits) => byRequest(http.request, new http.Agent(options(limits))),
  "memory alone": ({ maxSockets, maxTotalSockets }) => {
    const control = new Control(Math.min(maxSockets ?? Infinity, maxTotalSockets ?? Infinity));
    return { send: (host) => control.send(host), destroy: (): void => {} };
  },
};

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve));
}

function cpu(): number {
  const { user, system } = process.cpuUsage();
  return user + system;
}

/** Microseconds a request, `atOnce` of them at a time, once as many have been done. */
async function cost(
  atOnce: number,
  send: (n: number) => Promise<void>,
  requests: number = REQUESTS,
): Promise<number> {
  let done = 0;
  let isOver = false;
  let report = (): void => {};
  let before = 0;
  // No timer is waited for: node:http's agent may go on without the event loop, for ever.
  const chain = async (n: number): Promise<void> => {
    for (; !isOver; n += atOnce) {
      await send(n);
      if (++done === AT_ONCE) before = cpu();
      if (done === AT_ONCE + requests) report();
    }
  };
  const over = new Promise<void>((resolve) => report = resolve);
  const chains = Array.from({ length: atOnce }, (_, n) => chain(n));
  await over;
  const each = (cpu() - before) / requests;
  isOver = true;
  stop = Promise.all(chains);
  return each;
}

/** The end of what is still under way, once the agent is destroyed. */
let stop: Promise<unknown> = Promise.resolve();

type Task = (make: (limits: Limits) => Contender, size: number) => Promise<number>;

async function ended(result: number, { destroy }: Contender, ...more: Promise<unknown>[]): Promise<number> {
  destroy();
  await Promise.all([stop, ...more]);
  return result;
}

/** So many sockets are parked; requests are made AT_ONCE at a time. */
const byParked: Task = async (make, sockets) => {
  const contender = make({ maxSockets: sockets + AT_ONCE });
  await Promise.all(Array.from({ length: sockets }, () => contender.send("a")));
  return ended(await cost(AT_ONCE, () => contender.send("a")), contender);
};

/** So many sockets wait for an answer that does not come. */
const byHeld: Task = async (make, sockets) => {
  const contender = make({ maxSockets: sockets + AT_ONCE });
  const held = Array.from({ length: sockets }, () => contender.send("a", "/held"));
  await turn();
  return ended(await cost(AT_ONCE, () => contender.send("a")), contender, ...held);
};

/** So many sockets carry requests, all the time. */
const byBusy: Task = async (make, sockets) => {
  const contender = make({ maxSockets: sockets });
  return ended(await cost(sockets, () => contender.send("a"), Math.max(REQUESTS, 2 * sockets)), contender);
};

/** So many wait for one of AT_ONCE sockets, and when one is done the next joins. */
const byWaiting = (limits: Limits): Task => async (make, waiting) => {
  const contender = make(limits);
  return ended(await cost(waiting + AT_ONCE, () => contender.send("a")), contender);
};

/** So many are asked for at once, and AT_ONCE sockets serve them until none is left. */
const byBurst: Task = async (make, waiting) => {
  const contender = make({ maxSockets: AT_ONCE });
  const before = cpu();
  const bursts = Math.ceil(REQUESTS / waiting);
  for (let burst = 0; burst < bursts; burst++) {
    await Promise.all(Array.from({ length: waiting }, () => contender.send("a")));
  }
  return ended((cpu() - before) / (bursts * waiting), contender);
};

const byOrigins = (hasTotal: boolean): Task => async (make, origins) => {
  const contender = make(hasTotal ? { maxTotalSockets: origins + AT_ONCE, maxSockets: 4 } : {});
  const hosts = Array.from({ length: origins }, (_, n) => `host${n}`);
  await Promise.all(hosts.map((host) => contender.send(host)));
  return ended(await cost(AT_ONCE, (n) => contender.send(hosts[n % origins]!)), contender);
};

/** For each socket. */
const byClosed: Task = async (make, sockets) => {
  const contender = make({ maxSockets: sockets });
  await Promise.all(Array.from({ length: sockets }, () => contender.send("a")));
  await turn();
  const before = cpu();
  contender.destroy();
  await turn();
  return (cpu() - before) / sockets;
};

const SOCKETS = [1, 100, 1_000, 5_000];
const WAITING = [10, 100, 1_000, 10_000, 100_000];
const ORIGINS = [1, 100, 1_000, 10_000];

const ROWS: readonly [string, readonly number[], Task][] = [
  ["parked sockets", SOCKETS, byParked],
  ["held sockets", SOCKETS, byHeld],
  ["busy sockets", SOCKETS, byBusy],
  ["waiting, maxSockets", WAITING, byWaiting({ maxSockets: AT_ONCE })],
  ["waiting, maxTotalSockets", WAITING, byWaiting({ maxTotalSockets: AT_ONCE })],
  ["burst of requests", WAITING, byBurst],
  ["origins", ORIGINS, byOrigins(false)],
  ["origins, both caps", ORIGINS, byOrigins(true)],
  ["closed sockets", [50, 500, 5_000], byClosed],
];

/** The rows in which sockets are neither held nor closed. */
const CONTROLLED = /^(waiting|burst|origins|busy)/;
const isWarm = new Set<string>();

for (const [title, sizes, task] of ROWS) {
  if (!title.includes(rows)) continue;
  console.log(`by ${title}`);
  for (const [name, make] of Object.entries(CONTENDERS)) {
    if (!name.includes(contenders)) continue;
    if (name === "memory alone" && !CONTROLLED.test(title)) continue;
    for (const start = cpu(); cpu() - start < (isWarm.has(name) ? WARM_US / 3 : WARM_US);) {
      await task(make, sizes[0]!);
    }
    isWarm.add(name);
    const costs: number[] = [];
    for (const size of sizes) {
      let best = Infinity;
      for (let round = 0; round < ROUNDS; round++) best = Math.min(best, await task(make, size));
      costs.push(best);
      // A row that has taken too long already does so at larger sizes, too.
      if (best > 300) break;
    }
    const cells = costs.map((value, n) => `${sizes[n]}: ${value.toFixed(1)}`).join(", ");
    console.log(`  ${name.padEnd(21)} ${cells}   last/first ${(costs.at(-1)! / costs[0]!).toFixed(2)}`);
  }
}
process.exit();
