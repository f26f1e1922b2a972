/** A program of a user's, in ES modules: it must compile with each TypeScript and each `@types/node` that is supported. */
import * as http from "node:http";
import * as https from "node:https";
import type { Duplex } from "node:stream";
import { Agent, createFetch, HttpsAgent } from "@holdfast/agent";
import ours, { get, request } from "@holdfast/agent/http";
import secure from "@holdfast/agent/https";
import { ManualClock } from "@holdfast/agent/testing";

/** An agent is one of Node's, without a cast. */
const agent: http.Agent = new Agent({ keepAlive: true, maxSockets: 8, scheduling: "fifo" });
const secureAgent: https.Agent = new HttpsAgent({ keepAlive: true, ca: "" });
http.request({ host: "127.0.0.1", agent }).end();
https.get("https://127.0.0.1/", { agent: secureAgent });

/** Subclasses override what Node documents. */
class Tunnel extends Agent {
  override keepSocketAlive(socket: Duplex): boolean {
    return super.keepSocketAlive(socket);
  }
  override getName(options?: http.ClientRequestArgs): string {
    return `tunnel:${super.getName(options)}`;
  }
}
await using tunnel = new Tunnel();

/** The drop-in. */
ours.globalAgent = new Agent();
secure.globalAgent = new HttpsAgent();
const outgoing = request(
  "http://127.0.0.1/",
  { method: "POST", agent: tunnel, timeout: 1_000 },
  (response) => {
    const statusCode: number | undefined = response.statusCode;
    const cookies: string[] | undefined = response.headers["set-cookie"];
    response.setEncoding("utf8").on("data", (chunk: string) => console.log(statusCode, cookies, chunk));
  },
);
const asNode: http.ClientRequest = outgoing;
const sender: typeof http.request = ours.request;
console.log(asNode.path, sender.name);
outgoing.on("error", (error: Error) => console.log(error.message)).end("body");
get({ host: "127.0.0.1" }).on("response", (response) => response.resume());
const server: http.Server = ours.createServer((incoming: http.IncomingMessage, response) =>
  response.end(incoming.url)
);
server.close();

/** The lean face. */
const { status, headers, body, timings, reusedSocket } = await tunnel.request("http://127.0.0.1/", {
  method: "PUT",
  headers: { "content-type": "text/plain" },
  body: "text",
  timeouts: { headers: 1_000, total: 5_000 },
  signal: AbortSignal.timeout(1_000),
});
console.log(status, headers["content-type"], timings.firstByte, reusedSocket);
for await (const bytes of body) console.log(bytes.length);

/** Where a fetch is asked for. */
const standard: typeof fetch = createFetch(tunnel);
const text: string = await (await standard("http://127.0.0.1/", { method: "POST", body: "x" })).text();
console.log(text, tunnel.stats().active, new ManualClock().now());

/** Values of this module's types go where Node's are asked for. */
export function show(response: ours.IncomingMessage): string | undefined {
  const theirs: http.IncomingMessage = response;
  return `${theirs.socket.remoteAddress} ${response.statusMessage}`;
}
