/**
 * Three requests over one socket, and one that is refused.
 *
 * From a checkout:
 *   deno run --allow-net examples/first_request.ts
 *   bun examples/first_request.ts
 *   node npm/esm/examples/first_request.js        (after `npm test` or `npm start`, which emit npm/)
 */
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { Agent } from "../mod.ts";

const server = createServer((request, response) => response.end(`you asked for ${request.url}`));
await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

const agent = new Agent({ keepAlive: true, maxSockets: 1 });
for (const path of ["/a", "/b", "/c"]) {
  const { status, body, reusedSocket } = await agent.request(origin + path);
  console.log(status, await body.text(), reusedSocket ? "over the same socket" : "over a new socket");
}

agent.destroy();
await new Promise<void>((resolve) => server.close(() => resolve()));

try {
  await agent.request(origin);
} catch (error) {
  console.log("refused:", (error as { code?: string }).code);
}
