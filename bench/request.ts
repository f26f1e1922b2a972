/**
 * CPU time of a request, side by side in one process, in turns: the raw socket (the limit), `agent.request`, our fetch,
 * node:http with a keep-alive Agent, the runtime's own fetch, and undici on Node. The server runs in a process of its own.
 *
 * ```sh
 * node npm/esm/bench/request.js [connections] [rounds] [name] [bytes of a body]   # or deno run -A bench/request.ts, or bun
 * ```
 *
 * One line a contender: microseconds of CPU per request, and how many times cheaper than node:http and than the runtime's
 * fetch it is; medians over the rounds, of the ratios within each round.
 */
import { spawn } from "node:child_process";
import http from "node:http";
import process from "node:process";
import type { Pool } from "undici";
import { Agent, type Connect, createConnect } from "../mod.ts";

const connections = Number(process.argv[2] ?? 10);
const rounds = Number(process.argv[3] ?? 7);
/** Parts of the names of those that take part, with commas between them; default: all. */
const only = (process.argv[4] ?? "").split(",");
/** Bytes of a response's body. */
const bodyBytes = Number(process.argv[5] ?? 100);
/** Requests of one round. */
const REQUESTS = Math.ceil(3_000 / (1 + bodyBytes / 20_000));

/** Processor time of each before the first round, us. */
const WARM_UP_US = 1_500_000;

const server = spawn(process.execPath, serverArguments(), { stdio: ["pipe", "pipe", "inherit"] });
const port = await new Promise<number>((resolve) =>
  server.stdout.once("data", (line: Uint8Array) => resolve(Number(new TextDecoder().decode(line))))
);
const origin = `http://127.0.0.1:${port}`;
const HEADERS = { "x-a": "1", "x-b": "2", "accept": "*/*", "user-agent": "bench", "x-c": "3" };

const lean = new Agent({ keepAlive: true, maxSockets: connections });
const node = new http.Agent({ keepAlive: true, maxSockets: connections });
const raw = await openRaw(createConnect());
const pool = await openPool();

const contenders: Record<string, () => Promise<unknown>> = {
  "raw socket": raw.request,
  "agent.request": async () => await (await lean.request(`${origin}/`, { headers: HEADERS })).body.text(),
  "... forEach": async () =>
    await (await lean.request(`${origin}/`, { headers: HEADERS })).body.forEach(() => {}),
  "... for await": async () => {
    for await (const _piece of (await lean.request(`${origin}/`, { headers: HEADERS })).body);
  },
  "agent.fetch": async () => await (await lean.fetch(`${origin}/`, { headers: HEADERS })).text(),
  "node:http": () =>
    new Promise<void>((resolve, reject) => {
      http.get(`${origin}/`, { agent: node, headers: HEADERS }, (response) => {
        let text = "";
        if (bodyBytes < 1_000) response.setEncoding("utf8");
        response.on("data", (chunk) => bodyBytes < 1_000 ? text += chunk : undefined);
        response.on("end", resolve);
      }).on("error", reject);
    }),
  ...(pool && {
    "undici.Pool": async () => {
      const { body } = await pool.request({ path: "/", method: "GET", headers: HEADERS });
      await (bodyBytes < 1_000 ? body.text() : body.dump({ limit: Infinity }));
    },
  }),
  "runtime's fetch": async () => await (await fetch(`${origin}/`, { headers: HEADERS })).text(),
};

const figures = await measure();
for (const [name, values] of Object.entries(figures)) {
  const times = ["node:http", "runtime's fetch"].map((peer) =>
    median(values.map((value, round) => (figures[peer]?.[round] ?? NaN) / value)).toFixed(2).padStart(6)
  );
  process.stdout.write(`${name.padEnd(16)} ${median(values).toFixed(1).padStart(8)} us ${times.join("")}\n`);
}
lean.destroy();
node.destroy();
raw.close();
await pool?.destroy();
server.kill();

async function measure(): Promise<Record<string, number[]>> {
  const figures: Record<string, number[]> = {};
  const taking = Object.entries(contenders).filter(([name]) => only.some((part) => name.includes(part)));
  for (const [, request] of taking) await warmUp(request);
  for (let round = 0; round < rounds; round++) {
    for (const [name, request] of taking) {
      const before = process.cpuUsage();
      await run(request);
      const { user, system } = process.cpuUsage(before);
      (figures[name] ??= []).push((user + system) / REQUESTS);
    }
  }
  return figures;
}

/** Until the compilers have done their work. */
async function warmUp(request: () => Promise<unknown>): Promise<void> {
  const before = process.cpuUsage();
  for (;;) {
    await run(request);
    const { user, system } = process.cpuUsage(before);
    if (user + system > WARM_UP_US) return;
  }
}

async function run(request: () => Promise<unknown>): Promise<void> {
  let started = 0;
  const work = async (): Promise<void> => {
    while (started++ < REQUESTS) await request();
  };
  await Promise.all(Array.from({ length: connections }, work));
}

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[values.length >> 1]!;
}

/** The least that a request can cost on this adapter: one write, one read, one promise. */
async function openRaw(connect: Connect): Promise<{ request(): Promise<void>; close(): void }> {
  const lines = Object.entries(HEADERS).map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const head = new TextEncoder().encode(`GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n${lines}\r\n`);
  const free: (() => Promise<void>)[] = [];
  const closes: (() => void)[] = [];
  await Promise.all(Array.from({ length: connections }, () =>
    new Promise<void>((opened) => {
      let done: (() => void) | undefined;
      let rest = 0;
      const socket = connect({ host: "127.0.0.1", port }, {
        onOpen: () => opened(),
        onData: (chunk) => {
          rest -= chunk.length;
          if (rest <= 0) done?.();
        },
        onEnd: () => {},
        onDrain: () => {},
        onClose: () => {},
      });
      closes.push(() => socket.destroy());
      free.push(() =>
        new Promise<void>((resolve) => {
          done = resolve;
          rest = bodyBytes;
          socket.write(head);
        })
      );
    })));
  const request = async (): Promise<void> => {
    const send = free.pop()!;
    await send();
    free.push(send);
  };
  return { request, close: () => closes.forEach((close) => close()) };
}

/** undici, where it runs over its own sockets: on Node. */
async function openPool(): Promise<Pool | undefined> {
  if (process.versions["deno"] !== undefined || process.versions["bun"] !== undefined) return undefined;
  const undici = await import("undici");
  return new undici.Pool(origin, { connections, pipelining: 1 });
}

function serverArguments(): string[] {
  // From the root of the project: compiled, this file lies elsewhere.
  const file = "bench/request_origin.mjs";
  const isDeno = process.versions["deno"] !== undefined;
  return [...(isDeno ? ["run", "-A"] : []), file, String(bodyBytes)];
}
