// deno-lint-ignore-file explicit-function-return-type -- JavaScript writes none
/**
 * JSON asked for and sent, and the ways to say where to: a URL, a URL with options, options alone. CommonJS; runs as
 * http_agent_tour.cjs does.
 */
const http = require("@holdfast/agent/http");

// One agent for whoever brings none.
http.globalAgent = new http.Agent({ keepAlive: true, maxSockets: 2 });

const server = http.createServer((request, response) => {
  let text = "";
  request.setEncoding("utf8");
  request.on("data", (chunk) => text += chunk);
  request.on("end", () => {
    if (request.url === "/missing") return response.writeHead(404).end();
    response.writeHead(200, { "content-type": "application/json" });
    response.end(JSON.stringify({
      method: request.method,
      url: request.url,
      as: request.headers.authorization && atob(request.headers.authorization.split(" ")[1]),
      body: text === "" ? undefined : JSON.parse(text),
    }));
  });
});

function read(response, done) {
  const type = response.headers["content-type"] ?? "";
  if (response.statusCode !== 200 || !type.startsWith("application/json")) {
    // Its connection serves the next one only once it has been read.
    response.resume();
    return done(`refused: ${response.statusCode} ${response.statusMessage}`);
  }
  let text = "";
  response.setEncoding("utf8");
  response.on("data", (chunk) => text += chunk);
  response.on("end", () => done(JSON.stringify(JSON.parse(text))));
}

const ask = (start) =>
  new Promise((resolve, reject) => {
    const request = start((response) => read(response, resolve));
    request.on("error", reject);
  });

server.listen(0, "127.0.0.1", async () => {
  const { port } = server.address();
  const origin = `http://127.0.0.1:${port}`;
  console.log(await ask((done) => http.get(`${origin}/text`, done)));
  console.log(await ask((done) => http.get(new URL(`${origin}/missing`), done)));
  console.log(await ask((done) => http.get(`http://ann:secret@127.0.0.1:${port}/who?as=ann`, done)));

  const body = JSON.stringify({ name: "kelp", depth: 12 });
  const headers = { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(body) };
  console.log(
    await ask((done) => {
      const request = http.request(`${origin}/items`, { method: "POST", headers }, done);
      request.write(body);
      return request.end();
    }),
  );
  console.log(
    await ask((done) =>
      http.request({ host: "127.0.0.1", port, path: "/items/7", method: "DELETE" }, done).end()
    ),
  );
  http.globalAgent.destroy();
  server.close();
});
