/**
 * What an idle pooled connection costs in memory: resident set for each of many connections parked in one agent.
 *
 * ```sh
 * deno run -A bench/pool_memory.ts 10000     # two descriptors for each, in two processes
 * ```
 *
 * @module
 */
// deno-lint-ignore-file no-console -- this is a command: its output is the console
import { spawn } from "node:child_process";
import process from "node:process";
import { Agent } from "../mod.ts";

const count = Number(process.argv[2] ?? 10_000);

const child = spawn("node", [new URL("idle_origin.mjs", import.meta.url).pathname], {
  stdio: ["pipe", "pipe", "inherit"],
});
const port = await new Promise<number>((resolve) =>
  child.stdout.once("data", (line) => resolve(Number(line)))
);

async function settle(): Promise<void> {
  for (let round = 0; round < 5; round++) {
    (globalThis as { gc?: () => void }).gc?.();
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

const agent = new Agent({ keepAlive: true, maxFreeSockets: Infinity });

/** As many requests at once as connections are wanted: the origin holds them until all are there. */
async function openAll(total: number): Promise<void> {
  await Promise.all(Array.from({ length: total }, async () => {
    const { body } = await agent.request(`http://127.0.0.1:${port}/hold/${total}`);
    await body.bytes();
  }));
}

await openAll(100);
await settle();
const before = process.memoryUsage().rss;
await openAll(count);
await settle();
const after = process.memoryUsage().rss;
const free = agent.stats().free;
console.log(`${free} idle connections: ${((after - before) / (free - 100) / 1024).toFixed(1)} KB RSS each`);
child.stdin.end();
process.exit();
