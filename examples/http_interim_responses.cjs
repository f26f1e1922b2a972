// deno-lint-ignore-file explicit-function-return-type -- JavaScript writes none
/**
 * What comes before the response: 100 Continue, 103 Early Hints; and a change of protocol in its place. CommonJS; runs
 * as http_agent_tour.cjs does.
 */
const http = require("@holdfast/agent/http");

const server = http.createServer((request, response) => {
  response.writeEarlyHints({ link: "</style.css>; rel=preload" });
  request.resume();
  request.on("end", () => response.end("done"));
});
server.on("upgrade", (_request, socket) => {
  socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: shout\r\n\r\n");
  socket.on("data", (chunk) => socket.end(String(chunk).toUpperCase()));
});

server.listen(0, "127.0.0.1", () => {
  const { port } = server.address();
  const upload = http.request({
    port,
    host: "127.0.0.1",
    method: "POST",
    headers: { expect: "100-continue", "content-length": 4 },
  });
  upload.on("continue", () => {
    console.log("the server wants the body");
    upload.end("body");
  });
  upload.on("information", ({ statusCode, headers }) => {
    if (statusCode === 103) console.log("ahead of the response:", headers.link);
  });
  upload.on("response", (response) => {
    console.log("the response:", response.statusCode);
    response.resume();
    response.on("end", () => upgrade(port));
  });
});

function upgrade(port) {
  const request = http.request({
    port,
    host: "127.0.0.1",
    headers: { connection: "Upgrade", upgrade: "shout" },
  });
  request.end();
  request.on("upgrade", (response, socket) => {
    console.log("upgraded to", response.headers.upgrade);
    socket.write("hello");
    socket.on("data", (chunk) => console.log(String(chunk)));
    socket.on("end", () => {
      socket.end();
      server.close();
      process.exit();
    });
  });
}
