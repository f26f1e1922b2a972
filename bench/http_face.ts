/**
 * `request()` of `@holdfast/agent/http` against the runtime's own `http.request`, in one run: A B A B, at 1, 10 and 50
 * connections, and 10 MiB down and up. Prints microseconds of CPU per request of this process and requests per second: of
 * each the median, and the median of the rounds' ratios. Each round has connections of its own, because what the system makes
 * of a connection's buffers decides more about 10 MiB than the client does. The origin is a process of its own.
 *
 *     deno run -A bench/http_face.ts
 *     bun bench/http_face.ts
 *     node npm/esm/bench/http_face.js        (after the package was emitted)
 *
 * Behind the file may stand a part of a name, as in `up`, and how many rounds (default: 11).
 */
import { spawn } from "node:child_process";
import * as builtin from "node:http";
import process from "node:process";
import { fileURLToPath } from "node:url";
import http from "../src/http.ts";

/** Time of one measurement, ms. */
const ROUND_MS = 250;
const ROUNDS = 11;
/** For how long each side runs first, ms: by then its code is compiled. */
const WARM_MS = 2_000;
const LARGE = 10 * 1024 * 1024;

type Make = (options: object, onResponse: (response: Incoming) => void) => Outgoing;
interface Incoming {
  on(event: string, listener: (chunk: Uint8Array) => void): unknown;
}
interface Outgoing {
  end(body?: Uint8Array): unknown;
  on(event: string, listener: (error: Error) => void): unknown;
}

interface Side {
  readonly name: string;
  readonly make: Make;
  readonly Agent: new (options: object) => { destroy(): void };
}

const SIDES: readonly Side[] = [
  { name: "own", make: http.request as unknown as Make, Agent: http.Agent as never },
  { name: "runtime", make: builtin.request as unknown as Make, Agent: builtin.Agent as never },
];

interface Figure {
  readonly cpuUs: number;
  readonly perSecond: number;
}

function once(make: Make, options: object, body?: Uint8Array): Promise<void> {
  return new Promise((resolve, reject) => {
    const request = make(options, (response) => {
      response.on("data", () => {});
      response.on("end", () => resolve());
    });
    request.on("error", reject);
    request.end(body);
  });
}

async function measure(
  side: Side,
  port: number,
  connections: number,
  kind: Kind,
  durationMs: number = ROUND_MS,
): Promise<Figure> {
  const agent = new side.Agent({ keepAlive: true, maxSockets: connections });
  const options = { host: "127.0.0.1", port, agent, ...kind.options };
  let count = 0;
  const until = (end: number): Promise<void[]> =>
    Promise.all(Array.from({ length: connections }, async () => {
      while (performance.now() < end) {
        await once(side.make, options, kind.body);
        count++;
      }
    }));
  await until(performance.now() + durationMs / 5);
  count = 0;
  const cpu = process.cpuUsage();
  const start = performance.now();
  await until(start + durationMs);
  const { user, system } = process.cpuUsage(cpu);
  const seconds = (performance.now() - start) / 1000;
  agent.destroy();
  return { cpuUs: (user + system) / count, perSecond: count / seconds };
}

interface Kind {
  readonly name: string;
  readonly options: object;
  readonly body: Uint8Array | undefined;
  readonly connections: readonly number[];
}

/** A part of the names of those that take part; default: all. And how often. */
const only = process.argv[2] ?? "";
const rounds = Number(process.argv[3] ?? ROUNDS);

const KINDS: readonly Kind[] = [
  { name: "GET", options: { path: "/small" }, body: undefined, connections: [1, 10, 50] },
  { name: "10 MiB down", options: { path: "/large" }, body: undefined, connections: [1] },
  {
    name: "10 MiB up",
    options: { path: "/upload", method: "POST" },
    // Written to: pages that never were are one page of the kernel's.
    body: new Uint8Array(LARGE).fill(1),
    connections: [1],
  },
];

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]!;
}

function textOf(figures: readonly Figure[]): string {
  const perSecond = median(figures.map((figure) => figure.perSecond));
  return `${median(figures.map(({ cpuUs }) => cpuUs)).toFixed(1)} us, ${perSecond.toFixed(0)}/s`;
}

const isSource = import.meta.url.endsWith(".ts");
const origin = spawn("node", [
  fileURLToPath(new URL(`${isSource ? "" : "../../../bench/"}http_face_origin.mjs`, import.meta.url)),
], { stdio: ["ignore", "pipe", "inherit"] });
const port = Number(
  await new Promise((resolve) => origin.stdout.once("data", (chunk) => resolve(String(chunk)))),
);

for (const side of SIDES) await measure(side, port, 10, KINDS[0]!, WARM_MS);
for (const kind of KINDS.filter(({ name }) => name.includes(only))) {
  for (const connections of kind.connections) {
    const own: Figure[] = [];
    const runtime: Figure[] = [];
    for (let round = 0; round < rounds; round++) {
      own.push(await measure(SIDES[0]!, port, connections, kind));
      runtime.push(await measure(SIDES[1]!, port, connections, kind));
    }
    const cpu = median(own.map(({ cpuUs }, round) => runtime[round]!.cpuUs / cpuUs));
    const rate = median(own.map(({ perSecond }, round) => perSecond / runtime[round]!.perSecond));
    process.stdout.write(
      `${kind.name}, ${connections} connections: own ${textOf(own)}; runtime ${textOf(runtime)}; ` +
        `CPU x${cpu.toFixed(2)}, rate x${rate.toFixed(2)}\n`,
    );
  }
}
origin.kill();
