/**
 * An origin for `pool_memory.ts`: answers `/hold/N` once N such requests are there, so that each needs a connection of its
 * own, and keeps the connections. Prints its port; ends with its standard input.
 */
import { createServer } from "node:http";
import process from "node:process";

let held = [];

const server = createServer((request, response) => {
  held.push(response);
  if (held.length < Number(request.url.split("/")[2])) return;
  const all = held;
  held = [];
  for (const one of all) one.end("x");
});
server.keepAliveTimeout = 0;
server.listen(
  { port: 0, host: "127.0.0.1", backlog: 4096 },
  () => process.stdout.write(`${server.address().port}\n`),
);
process.stdin.on("end", () => process.exit(0)).resume();
