/**
 * A body streamed to a server with backpressure, its answer read, and a request given up by a signal.
 *
 * From a checkout:
 *   deno run --allow-net examples/http_upload.ts
 *   bun examples/http_upload.ts
 *   node npm/esm/examples/http_upload.js        (after `npm test` or `npm start`, which emit npm/)
 */
import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import http, { type IncomingMessage } from "../src/http.ts";

const server = http.createServer((request, response) => {
  if (request.url === "/never") return;
  let bytes = 0;
  request.on("data", (chunk) => bytes += chunk.length);
  request.on("end", () => response.end(JSON.stringify({ bytes })));
});
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
const options = { host: "127.0.0.1", port: (server.address() as AddressInfo).port };

function* pieces(): Iterable<Uint8Array> {
  for (let i = 0; i < 100; i++) yield new Uint8Array(10_000);
}

const upload = http.request({ ...options, method: "PUT" });
const answered = once(upload, "response");
await pipeline(Readable.from(pieces()), upload);
const [response] = await answered as [IncomingMessage];
let text = "";
for await (const chunk of response) text += chunk;
console.log(response.statusCode, text);

const controller = new AbortController();
const given = http.get({ ...options, path: "/never", signal: controller.signal });
given.on("socket", () => controller.abort());
const [error] = await once(given, "error");
console.log(error.name, error.code);

http.globalAgent.destroy();
server.close();
