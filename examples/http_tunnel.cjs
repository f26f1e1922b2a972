// deno-lint-ignore-file explicit-function-return-type -- JavaScript writes none
/**
 * A proxy that opens tunnels, and a request through one. CommonJS; runs as http_agent_tour.cjs does.
 */
const http = require("@holdfast/agent/http");
const net = require("node:net");

const origin = http.createServer((request, response) => response.end(`origin: ${request.url}\n`));
const proxy = http.createServer();
proxy.on("connect", (request, client, head) => {
  console.log(`proxy: ${request.method} to the origin`);
  const { hostname, port } = new URL(`http://${request.url}`);
  const server = net.connect(Number(port), hostname, () => {
    client.write("HTTP/1.1 200 Connection Established\r\nProxy-Agent: example\r\n\r\n");
    server.write(head);
    server.pipe(client);
    client.pipe(server);
  });
});

origin.listen(0, "127.0.0.1", () => proxy.listen(0, "127.0.0.1", main));

function main() {
  const request = http.request({
    port: proxy.address().port,
    host: "127.0.0.1",
    method: "CONNECT",
    path: `127.0.0.1:${origin.address().port}`,
  });
  request.end();
  request.on("connect", (response, socket) => {
    console.log("client: tunnel is open,", response.statusCode, response.headers["proxy-agent"]);
    socket.write("GET /through HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n");
    let text = "";
    socket.on("data", (chunk) => text += chunk);
    socket.on("end", () => {
      console.log("client:", text.split("\r\n\r\n")[1].includes("origin: /through"));
      socket.end();
      origin.close();
      proxy.close();
    });
  });
}
