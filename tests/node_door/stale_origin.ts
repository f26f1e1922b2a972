/**
 * An origin in a process of its own that sends a 408 after each response, unasked, and leaves a file behind once the system
 * has it: so a client can know, without asking its event loop, that the bytes are in its own kernel. Prints its port; ends
 * with its standard input. Argument: a folder for the files, which are named 1, 2, ...
 */
import { writeFileSync } from "node:fs";
import * as net from "node:net";
import process from "node:process";

const folder = process.argv[2]!;
let count = 0;

const server = net.createServer({ noDelay: true }, (socket) => {
  socket.on("error", () => {});
  socket.on("data", () => {
    socket.write("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
    setTimeout(() => {
      socket.write("HTTP/1.1 408 Request Timeout\r\nContent-Length: 5\r\n\r\nstale", () => {
        writeFileSync(`${folder}/${++count}`, "");
      });
    }, 5);
  });
});
server.listen(0, "127.0.0.1", () => {
  process.stdout.write(`${(server.address() as net.AddressInfo).port}\n`);
});
process.stdin.on("end", () => process.exit(0)).resume();
