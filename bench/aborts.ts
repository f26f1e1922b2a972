/**
 * What 10,000 aborted requests leave behind: heap, open sockets and timers, over real sockets, a third each aborted in the
 * queue or while they connect, before the response, and inside the body. Prints a line and ends with 1 where the heap has
 * grown by 5 MiB or more.
 *
 * ```sh
 * node --expose-gc npm/esm/bench/aborts.js   # or deno run -A --v8-flags=--expose-gc bench/aborts.ts, or bun --expose-gc
 * ```
 */
import { createServer } from "node:net";
import process from "node:process";
import { Agent } from "../mod.ts";
import { listening } from "../tests/harness/listening.ts";

const ABORTS = 10_000;
const BATCH = 100;
const { gc } = globalThis as { gc?: () => void };
if (gc === undefined) throw new Error("Run with --expose-gc");

let turn = 0;
const server = createServer({ noDelay: true }, (socket) => {
  socket.on("data", () => {
    if (turn++ % 2 === 0) socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx");
  });
});
const { port, sockets: open, close } = await listening(server);
const url = `http://127.0.0.1:${port}/`;
const agent = new Agent({ keepAlive: true, maxSockets: 50 });

await abortMany(1_000);
const before = await heapBytes();
await abortMany(ABORTS);
const grownKiB = (await heapBytes() - before) / 1024;
process.stdout.write(
  `${ABORTS} aborts: heap ${grownKiB >= 0 ? "+" : ""}${grownKiB.toFixed(0)} KiB, ` +
    `${agent.totalSocketCount} connections, ${open.size} sockets at the server\n`,
);
process.exitCode = grownKiB < 5 * 1024 && agent.totalSocketCount === 0 && open.size === 0 ? 0 : 1;
agent.destroy();
await close();

async function abortMany(count: number): Promise<void> {
  for (let batch = 0; batch < count / BATCH; batch++) {
    const controller = new AbortController();
    const { signal } = controller;
    const all = Array.from({ length: BATCH }, async () => {
      try {
        await (await agent.request(url, { signal })).body.text();
      } catch (error) {
        if ((error as { code?: string }).code !== "ABORT_ERR") throw error;
      }
    });
    if (batch % 3 > 0) await pause(batch % 3 === 1 ? 0 : 5);
    controller.abort();
    await Promise.all(all);
  }
  while (open.size > 0 || agent.totalSocketCount > 0) await pause(5);
}

/** Once it does not fall any more. */
async function heapBytes(): Promise<number> {
  let least = Infinity;
  for (let i = 0; i < 8; i++) {
    await pause(20);
    gc!();
    least = Math.min(least, process.memoryUsage().heapUsed);
  }
  return least;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
