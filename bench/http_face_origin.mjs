/** The origin of bench/http_face.ts, bytes against bytes so that it costs little: a small answer, 10 MiB, an upload. */
import { createServer } from "node:net";

const SMALL =
  "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\nContent-Length: 2\r\n\r\nok";
const LARGE = Buffer.concat([
  Buffer.from(`HTTP/1.1 200 OK\r\nContent-Length: ${10 * 1024 * 1024}\r\n\r\n`),
  Buffer.alloc(10 * 1024 * 1024),
]);

const server = createServer((socket) => {
  socket.setNoDelay(true);
  socket.on("error", () => {});
  let awaited = 0;
  socket.on("data", (chunk) => {
    if (awaited > 0) {
      awaited -= chunk.length;
      if (awaited <= 0) socket.write(SMALL);
      return;
    }
    const text = chunk.toString("latin1", 0, 400);
    if (text.startsWith("GET /large")) return void socket.write(LARGE);
    if (text.startsWith("POST")) {
      awaited = Number(/content-length: (\d+)/i.exec(text)[1]) -
        (chunk.length - text.indexOf("\r\n\r\n") - 4);
      if (awaited <= 0) socket.write(SMALL);
      return;
    }
    socket.write(SMALL);
  });
});
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
