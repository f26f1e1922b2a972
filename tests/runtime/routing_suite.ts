import { createServer, type Server } from "node:net";
import type { AddressInfo } from "node:net";
import * as assert from "uvu/assert";
import { adapterNames, adapters, createConnect } from "../../src/runtime/mod.ts";
import type { Connect, ConnectOptions, Socket } from "../../src/runtime/socket.ts";
import { suite } from "../harness/suite.ts";

const test = suite("runtime/mod");

let server: Server;
let port = 0;

test.before(async () => {
  server = createServer((socket) => socket.on("error", () => {}).pipe(socket));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  port = (server.address() as AddressInfo).port;
});

test.after(async () => {
  await new Promise((resolve) => server.close(resolve));
});

test("createConnect() reaches a plain server over the fastest adapter of the runtime", async () => {
  assert.is(await adapterOf(createConnect(), {}), adapters()[0]!.capabilities.adapter);
});

test("createConnect() routes a binding option past an adapter that lacks it", async () => {
  assert.is(await adapterOf(createConnect(), { family: 4 }), "node");
});

test("createConnect() uses the adapter that is asked for", async () => {
  assert.is(await adapterOf(createConnect({ runtime: "node" }), {}), "node");
});

/** Connects, closes, and tells which adapter it was. */
function adapterOf(connect: Connect, options: ConnectOptions): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    let adapter: string | undefined;
    const socket: Socket = connect({ host: "127.0.0.1", port, ...options }, {
      onOpen(): void {
        adapter = socket.info?.adapter;
        socket.destroy();
      },
      onData(): void {},
      onEnd(): void {},
      onDrain(): void {},
      onClose: (error): void => error === undefined ? resolve(adapter) : reject(error),
    });
  });
}

test("adapterNames holds every adapter of this runtime", () => {
  for (const { capabilities } of adapters()) {
    assert.ok(adapterNames.some((name) => name === capabilities.adapter));
  }
});

test.run();
