/**
 * Puts the runtime's own http.Agent, and ours, to the tests of the defects D1 to D15 (tests/node_door/defects.ts) and prints
 * which fail: the README's table.
 *
 * ```sh
 * deno run -A bench/pool_defects.ts      # or bun, or node with the emitted file
 * ```
 */
// deno-lint-ignore-file no-console -- this is a command: its output is the console
import * as http from "node:http";
import process from "node:process";
import { Agent } from "../mod.ts";
import { type Called, DEFECTS, type Kit } from "../tests/node_door/defects.ts";
import { send } from "../tests/node_door/door_origin.ts";
import { ours } from "../tests/node_door/our_kit.ts";

/** Longest time that one test may take, ms: a defect may show itself by hanging. */
const TIMEOUT_MS = 8_000;

const builtIn: Kit = {
  agent: (options) => new http.Agent(options),
  async call(agent, port, { method = "GET", unread = false, timeoutMs } = {}): Promise<Called> {
    // It has no time limits but the one that only emits.
    const options = { port, agent, method, ...timeoutMs === undefined ? {} : { timeout: timeoutMs } };
    if (!unread) return await send(options);
    return await new Promise((resolve, reject) => {
      const request = http.request({ host: "127.0.0.1", ...options }, ({ statusCode }) => {
        resolve({ status: statusCode, body: "", code: undefined, reused: request.reusedSocket });
      });
      request.on("error", reject);
      request.end();
    });
  },
};

process.on("uncaughtException", (error) => fail?.(error));
process.on("unhandledRejection", (error) => fail?.(error));
let fail: ((error: unknown) => void) | undefined;

async function verdict(run: (kit: Kit) => Promise<void>, kit: Kit): Promise<string> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      fail = reject;
      timer = setTimeout(() => reject(new Error("it hangs")), TIMEOUT_MS);
      run(kit).then(resolve, reject);
    });
    return "";
  } catch (error) {
    return (error instanceof Error ? error.message : String(error)).split("\n", 1)[0]!.trim();
  } finally {
    clearTimeout(timer);
  }
}

const { deno, bun, node } = process.versions;
console.log(`${deno ? `Deno ${deno}` : bun ? `Bun ${bun}` : `Node ${node}`}, Agent ${Agent.name}`);
console.log("| | defect | its own Agent | ours |\n|---|---|---|---|");
for (const { id, what, run } of DEFECTS) {
  const theirs = await verdict(run, builtIn);
  const our = await verdict(run, ours);
  const shown = (complaint: string): string => complaint === "" ? "passes" : `**fails**: ${complaint}`;
  console.log(`| ${id} | ${what} | ${shown(theirs)} | ${shown(our)} |`);
}
process.exit();
