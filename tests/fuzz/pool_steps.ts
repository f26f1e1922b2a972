/**
 * Runs the pool's fuzz for as many steps as asked, or again with the seed that a failure named.
 *
 * ```sh
 * deno run -A tests/fuzz/pool_steps.ts 5000000           # a new seed
 * deno run -A tests/fuzz/pool_steps.ts 100000 1234567    # that seed
 * ```
 *
 * @module
 */
// deno-lint-ignore-file no-console -- this is a command: its output is the console
import process from "node:process";
import { PoolCore } from "../../src/agent/core/pool.ts";
import { fuzzPool } from "../core/pool_fuzz.ts";

const steps = Number(process.argv[2] ?? 1_000_000);
const seed = Number(process.argv[3] ?? Math.floor(Math.random() * 2 ** 32));
console.log(`seed ${seed}, ${steps} steps`);
fuzzPool((limits) => new PoolCore(limits), seed, steps);
console.log("no difference");
