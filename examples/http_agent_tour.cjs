// deno-lint-ignore-file explicit-function-return-type -- JavaScript writes none
/**
 * What an agent does for requests: sockets kept, given away, and not used at all. CommonJS.
 *
 * From a checkout, once `npm test` or `npm start` has emitted the package:
 *   node examples/http_agent_tour.cjs
 *   deno run --allow-net examples/http_agent_tour.cjs
 *   bun examples/http_agent_tour.cjs
 */
const http = require("@holdfast/agent/http");

const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

const server = http.createServer((request, response) => {
  response.end(`${request.url} on connection ${request.socket.number}, ${request.headers.connection}`);
});
let connections = 0;
server.on("connection", (socket) => socket.number = ++connections);

function get(path, options, onSocket = () => {}) {
  return new Promise((resolve, reject) => {
    const request = http.get(
      { port: server.address().port, host: "127.0.0.1", path, ...options },
      (response) => {
        response.setEncoding("utf8");
        let text = "";
        response.on("data", (chunk) => text += chunk);
        response.on("end", () => setTimeout(resolve, 10, text));
      },
    );
    request.on("socket", onSocket);
    request.on("error", reject);
  });
}

server.listen(0, "127.0.0.1", async () => {
  console.log(await get("/first", { agent }));
  console.log(await get("/kept", { agent }));
  console.log(await get("/taken-out", { agent }, (socket) => socket.emit("agentRemove")));
  console.log(await get("/after", { agent }));
  console.log(await get("/alone", { agent: false }));

  // The agent's way to connect is a function of its own.
  const { createConnection } = agent;
  console.log(createConnection);
  const socket = createConnection({ port: server.address().port, host: "127.0.0.1" }, () => {
    socket.end("GET /by-hand HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
  });
  let text = "";
  socket.on("data", (chunk) => text += chunk);
  socket.on("close", () => {
    console.log(text.split("\r\n")[0]);
    agent.destroy();
    server.close();
  });
});
