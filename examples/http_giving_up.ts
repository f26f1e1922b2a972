/**
 * Requests that are given up: by a time limit, by a signal, by the server; and one that is tried again by hand.
 *
 * From a checkout:
 *   deno run --allow-net examples/http_giving_up.ts
 *   bun examples/http_giving_up.ts
 *   node npm/esm/examples/http_giving_up.js        (after `npm test` or `npm start`, which emit npm/)
 */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import http from "../src/http.ts";

let asked = 0;
const server = http.createServer((request, response) => {
  if (request.url === "/never") return;
  if (request.url === "/half") {
    response.writeHead(200, { "content-length": 10 });
    response.write("half", () => void setTimeout(() => request.socket.destroy(), 10));
    return;
  }
  // Its second request is lost with its connection.
  if (request.url === "/lost" && ++asked === 2) request.socket.destroy();
  else response.end("here");
});
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
const agent = new http.Agent({ keepAlive: true });
const options = { host: "127.0.0.1", port: (server.address() as AddressInfo).port, agent };

/** What a request came to. */
async function outcome(request: ReturnType<typeof http.get>): Promise<string> {
  try {
    const [response] = await once(request, "response") as [http.IncomingMessage];
    response.resume();
    await once(response, "end");
    return `${response.statusCode}, ${request.reusedSocket ? "kept" : "new"} connection`;
  } catch (error) {
    const { name, code, message } = error as Error & { code?: string };
    return `${name} ${code} ${message}`;
  }
}

// 'timeout' only tells: whoever does not want to wait any longer destroys the request.
const slow = http.get({ ...options, path: "/never", timeout: 50 });
slow.on("timeout", () => slow.destroy(new Error("no answer in time")));
console.log("timeout:", await outcome(slow));

const controller = new AbortController();
const stopped = http.get({ ...options, path: "/never", signal: controller.signal });
stopped.on("finish", () => controller.abort());
console.log("signal: ", await outcome(stopped));

console.log("half:   ", await outcome(http.get({ ...options, path: "/half" })));

/** As a program does that wants to decide itself what is sent twice. */
async function twice(path: string): Promise<string> {
  const request = http.get({ ...options, path, retry: false });
  const first = await outcome(request);
  return request.reusedSocket && first.includes("ECONNRESET")
    ? `${first}; again: ${await twice(path)}`
    : first;
}
console.log("first:  ", await twice("/lost"));
console.log("lost:   ", await twice("/lost"));

agent.destroy();
server.close();
