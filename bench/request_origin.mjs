/**
 * The origin of `request.ts`: a response of 12 header lines and as many bytes as its argument says for every "\r\n\r\n" that comes, in a process of its
 * own. Prints its port; ends with its standard input.
 */
import { createServer } from "node:net";
import process from "node:process";

const bodyBytes = Number(process.argv[2] ?? 100);
const fields = Array.from({ length: 10 }, (_, i) => `X-Field-${i}: value of field ${i}\r\n`).join("");
const response = Buffer.from(
  `HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: ${bodyBytes}\r\n${fields}\r\n${
    "x".repeat(bodyBytes)
  }`,
);
const server = createServer({ noDelay: true }, (socket) => {
  socket.on("data", () => socket.write(response));
  socket.on("error", () => {});
});
server.listen(0, "127.0.0.1", () => process.stdout.write(`${server.address().port}\n`));
process.stdin.on("end", () => process.exit(0));
process.stdin.resume();
