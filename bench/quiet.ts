/**
 * What it costs that a reused connection is polled once before it is written upon (D10): processor time for a request, with
 * the poll and without, at one request at a time and at fifty.
 *
 * ```sh
 * deno run -A bench/quiet.ts       # or bun, or node with the emitted file; some 10 s
 * ```
 *
 * @module
 */
// deno-lint-ignore-file no-console -- this is a command: its output is the console
import { spawn } from "node:child_process";
import process from "node:process";
import { Agent } from "../mod.ts";
import { systemClock } from "../src/clock.ts";

const ROUNDS = 5;
const LOADS: readonly (readonly [concurrency: number, requests: number])[] = [[1, 2_000], [50, 10_000]];

// From the root of the project: compiled, this file lies elsewhere.
const child = spawn("node", ["bench/origin.mjs"], { stdio: ["pipe", "pipe", "inherit"] });
const port = await new Promise<number>((resolve) =>
  child.stdout.once("data", (line) => resolve(Number(line)))
);
const url = `http://127.0.0.1:${port}/`;

/** Microseconds of processor time for a request. An agent that is given a clock does not poll. */
async function cost(polls: boolean, concurrency: number, requests: number): Promise<number> {
  const clock = polls ? undefined : systemClock;
  const agent = new Agent({ keepAlive: true, maxSockets: concurrency, clock });
  let left = requests;
  const work = async (): Promise<void> => {
    while (left-- > 0) await (await agent.request(url)).body.bytes();
  };
  const before = process.cpuUsage();
  await Promise.all(Array.from({ length: concurrency }, work));
  const { user, system } = process.cpuUsage(before);
  agent.destroy();
  return (user + system) / requests;
}

for (const [concurrency, requests] of LOADS) {
  const best = { polled: Infinity, unpolled: Infinity };
  for (let round = 0; round < ROUNDS; round++) {
    best.polled = Math.min(best.polled, await cost(true, concurrency, requests));
    best.unpolled = Math.min(best.unpolled, await cost(false, concurrency, requests));
  }
  const { polled, unpolled } = best;
  console.log(
    `${concurrency} at a time: ${polled.toFixed(1)} us with the poll, ${unpolled.toFixed(1)} us without ` +
      `(${((polled / unpolled - 1) * 100).toFixed(0)} %)`,
  );
}
child.stdin.end();
process.exit();
