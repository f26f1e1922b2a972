/**
 * How late the timed promises are kept, by the wall clock: the time limit of each phase, aborts at each stage, and destroy(), over
 * real sockets to a server in the same process. Prints the median, the 99th percentile and the worst beside what is promised,
 * and ends with 1 where a 99th percentile is over it. Tests hold the same promises in virtual time, where nothing is late.
 *
 * ```sh
 * deno run -A bench/latency.ts       # or bun, or node with the emitted file; some 10 s
 * ```
 *
 * @module
 */
// deno-lint-ignore-file no-console -- this is a command: its output is the console
import { createServer } from "node:net";
import process from "node:process";
import { Agent, type AgentRequestInit } from "../mod.ts";
import { type Listening, listening } from "../tests/harness/listening.ts";

/** Requests of a row with a time limit, and the time between the starts of two: their limits do not fall due at once. */
const SAMPLES = 200;
const SPACING_MS = 3;
const LIMIT_MS = 100;
/** Aborts of a row: so many at once, so many times. */
const AT_ONCE = 10;
const TIMES = 20;
/** Until each request has come as far as it goes. */
const STALL_MS = 30;
/** When a connection that is still there counts as one that stays. */
const STAYS_MS = 300;
/** What is promised, ms. */
const PROMISED = { limit: 100, settled: 50, gone: 100 } as const;
const HALF_A_RESPONSE = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\npart";

interface Stalling {
  readonly origin: Listening;
  /** When its connections were closed. */
  readonly closedAt: number[];
}

const silent = await stalling();
const halfway = await stalling(HALF_A_RESPONSE);
let isLate = false;

await limitRow("connect", `https://127.0.0.1:${silent.origin.port}/`, { connect: LIMIT_MS });
await limitRow("headers", `http://127.0.0.1:${silent.origin.port}/`, { headers: LIMIT_MS });
await limitRow("body", `http://127.0.0.1:${halfway.origin.port}/`, { body: LIMIT_MS });
await limitRow("total", `http://127.0.0.1:${silent.origin.port}/`, { total: LIMIT_MS });
await limitRow("queue", `http://127.0.0.1:${silent.origin.port}/`, { pool: LIMIT_MS }, 1);
await endRow("abort in the TLS handshake", `https://127.0.0.1:${silent.origin.port}/`, silent);
await endRow("abort before the head", `http://127.0.0.1:${silent.origin.port}/`, silent);
await endRow("abort inside the body", `http://127.0.0.1:${halfway.origin.port}/`, halfway);
await endRow("abort in the queue", `http://127.0.0.1:${silent.origin.port}/`, silent, { maxSockets: 1 });
await endRow("destroy()", `http://127.0.0.1:${silent.origin.port}/`, silent, {
  maxSockets: 5,
  byDestroy: true,
});
await Promise.all([silent, halfway].map(({ origin }) => origin.close()));
process.exitCode = isLate ? 1 : 0;

/** A server that takes what comes, answers so far and no further. */
async function stalling(answer?: string): Promise<Stalling> {
  const closedAt: number[] = [];
  const server = createServer({ noDelay: true }, (socket) => {
    socket.on("data", () => answer !== undefined && socket.write(answer));
    socket.on("close", () => closedAt.push(performance.now()));
  });
  return { origin: await listening(server), closedAt };
}

/** How long after its limit each request has failed. */
async function limitRow(
  phase: string,
  url: string,
  timeouts: AgentRequestInit["timeouts"],
  maxSockets = Infinity,
): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets });
  // Where there is one socket alone, it is taken.
  const holder = maxSockets === Infinity ? undefined : failure(agent, url);
  const late: Promise<number>[] = [];
  for (let i = 0; i < SAMPLES; i++) {
    late.push(lateness(agent, url, timeouts));
    await pause(SPACING_MS);
  }
  print(`limit: ${phase}`, await Promise.all(late), PROMISED.limit);
  agent.destroy();
  await holder;
}

async function lateness(agent: Agent, url: string, timeouts: AgentRequestInit["timeouts"]): Promise<number> {
  const started = performance.now();
  const code = await failure(agent, url, { timeouts });
  if (code !== "ETIMEDOUT") throw new Error(`Ended with ${code}`);
  return performance.now() - started - LIMIT_MS;
}

interface EndOptions {
  readonly maxSockets?: number;
  readonly byDestroy?: boolean;
}

/** How long after they were ended the requests have rejected, and how long until the server has seen the connections go. */
async function endRow(
  name: string,
  url: string,
  { origin: { sockets }, closedAt }: Stalling,
  { maxSockets = Infinity, byDestroy = false }: EndOptions = {},
): Promise<void> {
  const settled: number[] = [];
  const gone: number[] = [];
  let staying = 0;
  for (const socket of sockets) socket.destroy();
  for (let time = 0; time < TIMES; time++) {
    const agent = new Agent({ keepAlive: true, maxSockets });
    const aborter = new AbortController();
    let ended = 0;
    const all = Array.from({ length: AT_ONCE }, async () => {
      await failure(agent, url, { signal: aborter.signal });
      settled.push(performance.now() - ended);
    });
    await pause(STALL_MS);
    closedAt.length = 0;
    ended = performance.now();
    if (byDestroy) agent.destroy();
    else aborter.abort();
    await Promise.all(all);
    while (sockets.size > 0 && performance.now() < ended + STAYS_MS) await pause(1);
    gone.push(...closedAt.map((at) => at - ended));
    staying += sockets.size;
    for (const socket of sockets) socket.destroy();
    while (sockets.size > 0) await pause(1);
    agent.destroy();
  }
  print(name, settled, PROMISED.settled);
  if (gone.length > 0) print("  its connections, at the server", gone, PROMISED.gone);
  // Deno's own TLS cannot be ended before its peer answers (`cancelsHandshake`).
  if (staying > 0) console.log(`  ${staying} connections stay until the server closes them`);
}

/** The code that the request fails with. */
async function failure(agent: Agent, url: string, init?: AgentRequestInit): Promise<string | undefined> {
  try {
    const { body } = await agent.request(url, init);
    await body.bytes();
  } catch (error) {
    return (error as { code?: string }).code;
  }
  throw new Error("A request was answered");
}

function print(name: string, figures: number[], promised: number): void {
  figures.sort((a, b) => a - b);
  const at = (part: number): number =>
    figures[Math.min(figures.length - 1, Math.floor(figures.length * part))]!;
  const p99 = at(0.99);
  if (p99 > promised) isLate = true;
  const [p50, worst] = [at(0.5), figures.at(-1)!].map((ms) => ms.toFixed(1).padStart(6));
  console.log(
    `${name.padEnd(34)} p50 ${p50}  p99 ${p99.toFixed(1).padStart(6)}  worst ${worst} ms of ${promised}` +
      (p99 > promised ? "  OVER" : ""),
  );
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
