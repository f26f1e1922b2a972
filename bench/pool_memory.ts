/**
 * What an idle pooled connection costs in memory: resident set for each of many connections parked in one agent, beside our
 * adapter's sockets without an agent, and what the runtime itself takes for a socket that is read.
 *
 * ```sh
 * node --expose-gc npm/esm/bench/pool_memory.js 10000 [agent|adapter|bare]     # or deno run -A bench/pool_memory.ts, or bun
 * ```
 *
 * Two descriptors for each, in two processes; from the root of the project. 50 s.
 *
 * Measured twice: soon after a forced collection, and when the process has been quiet for QUIET_MS. To have so many connections so
 * many requests are under way at once, and the engine keeps the memory that these took until it has little to do: soon Deno
 * shows 19 KB for each of 10,000 (its bare socket 11), and 8 when it is quiet (bare 5), of which 3.7 (2.1) are live objects.
 *
 * @module
 */
// deno-lint-ignore-file no-console -- this is a command: its output is the console
import { spawn } from "node:child_process";
import * as net from "node:net";
import process from "node:process";
import { Agent, createConnect } from "../mod.ts";

const count = Number(process.argv[2] ?? 10_000);
const mode = process.argv[3] ?? "agent";

const child = spawn("node", ["bench/idle_origin.mjs"], { stdio: ["pipe", "pipe", "inherit"] });
const port = await new Promise<number>((resolve) =>
  child.stdout.once("data", (line) => resolve(Number(line)))
);
const hostname = "127.0.0.1";

async function settle(): Promise<void> {
  for (let round = 0; round < 5; round++) {
    (globalThis as { gc?: () => void }).gc?.();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** By then V8 has compacted its heap by itself. */
const QUIET_MS = 22_000;

/** Memory soon, and when it is quiet. */
async function measure(): Promise<[NodeJS.MemoryUsage, NodeJS.MemoryUsage]> {
  await settle();
  const soon = process.memoryUsage();
  await new Promise((resolve) => setTimeout(resolve, QUIET_MS));
  return [soon, process.memoryUsage()];
}

const agent = new Agent({ keepAlive: true, maxFreeSockets: Infinity });
const connect = createConnect();
/** What would else be collected. */
const kept: unknown[] = [];

const head = (total: number): Uint8Array =>
  new TextEncoder().encode(`GET /hold/${total} HTTP/1.1\r\nHost: ${hostname}\r\n\r\n`);

interface RuntimeSockets {
  readonly Deno?: {
    connect(target: object): Promise<
      { read(into: Uint8Array): Promise<unknown>; write(bytes: Uint8Array): Promise<unknown> }
    >;
  };
  readonly Bun?: { connect(options: object): Promise<{ write(bytes: Uint8Array): unknown }> };
}

const shared = new Uint8Array(65_536);
const ignore = (): void => {};

/** Opens a connection that has been answered once, and is read. */
const WAYS: Readonly<Record<string, (total: number) => Promise<unknown>>> = {
  async agent(total): Promise<void> {
    const { body } = await agent.request(`http://${hostname}:${port}/hold/${total}`);
    await body.bytes();
  },
  adapter: (total) =>
    new Promise((resolve) => {
      const socket = connect({ host: hostname, port }, {
        onOpen: () => socket.write(head(total)),
        onData: () => resolve(socket),
        onEnd: ignore,
        onDrain: ignore,
        onClose: ignore,
      });
    }),
  async bare(total): Promise<unknown> {
    const { Deno, Bun } = globalThis as RuntimeSockets;
    if (Deno !== undefined) {
      const conn = await Deno.connect({ hostname, port });
      await conn.write(head(total));
      const buffer = new Uint8Array(1024);
      await conn.read(buffer);
      return [conn, conn.read(buffer)];
    }
    return await new Promise((resolve) => {
      if (Bun !== undefined) {
        const open = (socket: { write(bytes: Uint8Array): unknown }): unknown => socket.write(head(total));
        return void Bun.connect({ hostname, port, socket: { open, data: resolve, close: ignore } });
      }
      const onread = {
        buffer: shared,
        callback: (): boolean => {
          resolve(socket);
          return true;
        },
      };
      const socket = net.connect({ host: hostname, port, onread }, () => void socket.write(head(total)));
    });
  },
};

/** As many requests at once as connections are wanted: the origin holds them until all are there. */
async function openAll(total: number): Promise<void> {
  const one = WAYS[mode]!;
  kept.push(await Promise.all(Array.from({ length: total }, () => one(total))));
}

await openAll(100);
const before = await measure();
await openAll(count);
const after = await measure();
const each = (when: 0 | 1, part: "rss" | "heapUsed"): string =>
  ((after[when][part] - before[when][part]) / count / 1024).toFixed(1);
console.log(
  `${mode}: ${count} idle connections, KB each: ${each(0, "rss")} RSS soon (${
    each(0, "heapUsed")
  } of heap), ` +
    `${each(1, "rss")} when quiet`,
);
child.stdin.end();
process.exit();
