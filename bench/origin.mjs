/**
 * The origin that the main job talks to: node:http on a free port of the loopback, in a process of its own. It counts the
 * connections that it accepts. Prints its port; then each line on standard input is answered by a line with the
 * count since the last one. Ends with its standard input.
 */
import { createServer } from "node:http";
import process from "node:process";
import { createInterface } from "node:readline";

const BODY = JSON.stringify({ message: "held fast", filler: "x".repeat(60) });
let accepted = 0;

const server = createServer((request, response) => {
  request.resume();
  response.writeHead(200, { "content-type": "application/json", "content-length": Buffer.byteLength(BODY) });
  response.end(BODY);
});
server.keepAliveTimeout = 60_000;
server.on("connection", () => accepted++);
server.listen(0, "127.0.0.1", () => process.stdout.write(`${server.address().port}\n`));

const lines = createInterface({ input: process.stdin });
lines.on("line", () => {
  process.stdout.write(`${accepted}\n`);
  accepted = 0;
});
lines.on("close", () => process.exit(0));
