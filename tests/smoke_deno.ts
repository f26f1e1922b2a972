/**
 * The one `Deno.test` file. On Deno: `deno test -A tests/smoke_deno.ts`. On Node dnt, and the gate, run it over the
 * emitted ES module and CommonJS package with @deno/shim-deno for `Deno`, so it also shows that the library does not
 * take Node for Deno.
 */
import { Agent, createConnect, type SocketError } from "../mod.ts";
import { MemoryNetwork } from "../src/testing.ts";

declare const Deno: { test(name: string, body: () => Promise<void> | void): void };

function expect(actual: unknown, expected: unknown): void {
  if (actual !== expected) throw new Error(`Expected ${String(expected)}, got ${String(actual)}`);
}

Deno.test("an agent answers from a network in memory", async () => {
  const network = new MemoryNetwork();
  network.listen({ host: "origin" }, async (peer) => {
    await peer.readUntil("\r\n\r\n");
    peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello");
  });
  const agent = new Agent({ keepAlive: true, runtime: network.connect });
  const { status, body } = await agent.request("http://origin/");
  expect(status, 200);
  expect(await body.text(), "hello");
  agent.destroy();
});

Deno.test("the runtime's own sockets say why a connection is refused", async () => {
  const code = await new Promise((resolve) => {
    const ignore = (): void => {};
    // Port 1 (tcpmux): nobody listens there.
    createConnect()({ host: "127.0.0.1", port: 1 }, {
      onOpen: () => resolve("open"),
      onData: ignore,
      onEnd: ignore,
      onDrain: ignore,
      onClose: (error?: SocketError) => resolve(error?.code),
    });
  });
  expect(code, "ECONNREFUSED");
});
