/**
 * A program in TypeScript that swaps its import needs no other change: what compiles with `node:http` compiles here, and its
 * values fit where Node's types are asked for. The compiler is the test; what stands here also runs.
 */
import http, { type ClientRequest, type IncomingMessage, type RequestOptions } from "@holdfast/agent/http";
import * as all from "@holdfast/agent/http";
import https from "@holdfast/agent/https";
import * as builtin from "node:http";
import * as builtinHttps from "node:https";
import type { Duplex } from "node:stream";
import { is } from "uvu/assert";
import { suite } from "../harness/suite.ts";

const test = suite("http and https: types");

// What is ours, where Node's is asked for.

export const request: typeof builtin.request = http.request;
export const get: typeof builtin.get = http.get;
export const secureRequest: typeof builtinHttps.request = https.request;
export const named: typeof builtin.request = all.request;

/** Compiled, not called: there is no server. */
export function passOurs(): void {
  const asked: builtin.ClientRequest = http.request("http://localhost/", (response) => {
    const message: builtin.IncomingMessage = response;
    message.resume();
  });
  const agent: builtin.Agent = new http.Agent({ keepAlive: true });
  const secure: builtinHttps.Agent | builtin.Agent = new https.Agent({ keepAlive: true });
  builtin.get({ agent: new http.Agent() });
  builtinHttps.get({ agent: new https.Agent(), ca: "" });
  for (const one of [asked, agent, secure]) one.destroy();
}

// Node's, where ours are used.

/** Compiled, not called. */
export function passNodes(options: builtin.RequestOptions, secure: builtinHttps.RequestOptions): void {
  http.request(options, (response: builtin.IncomingMessage) => response.pipe(process.stdout));
  http.get({ ...options, agent: new builtin.Agent() });
  https.get(secure);
  https.get("https://localhost/", { ca: "", servername: "a", checkServerIdentity: () => undefined });
  const agentOptions: builtin.AgentOptions = { keepAlive: true, maxSockets: 1 };
  http.globalAgent = new http.Agent(agentOptions);
}

/** Types by the names that they have with `import http from "node:http"`. */
export function answer(request: http.IncomingMessage, response: http.ServerResponse): void {
  const headers: http.OutgoingHttpHeaders = { "x-path": request.url ?? "" };
  response.writeHead(200, headers).end();
}
export const options: http.RequestOptions & RequestOptions = {
  host: "localhost",
  headers: { a: ["1", "2"] },
};
export const secureOptions: https.RequestOptions = { ...options, rejectUnauthorized: true };
export const listener: http.RequestListener = answer;

/** As Node's document has its users do. */
export class Counting extends http.Agent {
  made = 0;
  override createConnection(
    options: http.ClientRequestArgs,
    callback?: (error: Error | null, stream: Duplex) => void,
  ): Duplex | null | undefined {
    this.made++;
    return super.createConnection(options, callback);
  }
}

/** Every listener has its own types. */
export function listen(request: ClientRequest): void {
  request.on("response", (response: IncomingMessage) => response.headers["set-cookie"]?.join());
  request.on("information", ({ statusCode, headers }) => [statusCode.toFixed(), headers["link"]]);
  request.on("upgrade", (response, socket, head) => [response.statusCode, socket.destroyed, head.length]);
  request.on("socket", (socket) => socket.setNoDelay(true));
  request.setHeader("a", ["b"]).setTimeout(1_000, () => request.destroy(new Error("slow")));
}

test("a subclass in TypeScript overrides createConnection", async () => {
  const server: http.Server = http.createServer(answer);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  const agent = new Counting();
  const response = await new Promise<http.IncomingMessage>((resolve) =>
    http.get({ host: "127.0.0.1", port, path: "/x", agent }, resolve)
  );
  response.resume();
  is(response.headers["x-path"], "/x");
  is(agent.made, 1);
  await new Promise((resolve) => response.once("close", resolve));
  agent.destroy();
  await new Promise((resolve) => server.close(resolve));
});

test.run();
