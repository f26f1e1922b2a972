import { AsyncLocalStorage } from "node:async_hooks";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import * as assert from "uvu/assert";
import { Agent } from "@holdfast/agent";
import { capture, outside, run, type useContextSlot } from "../../src/runtime/context.ts";
import { adapterNames, adapters, createConnect } from "../../src/runtime/mod.ts";
import type { Socket } from "../../src/runtime/socket.ts";
import { suite } from "../harness/suite.ts";
import { needsAdapter } from "./adapter_flags.ts";

const test = suite("runtime/context");

const store = new AsyncLocalStorage<string>();

const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 20));

test("outside() leaves every store, also one made later and one from a surrounding run", async () => {
  await turn();
  const second = new AsyncLocalStorage<number>();
  const seen = store.run(
    "a",
    () => second.run(5, () => outside(() => [store.getStore(), second.getStore()])),
  );
  assert.equal(seen, [undefined, undefined]);
});

test("outside() takes along what is started in it", async () => {
  const seen = await store.run("a", () =>
    outside(() =>
      new Promise<unknown[]>((resolve) => {
        setTimeout(() => Promise.resolve().then(() => resolve([store.getStore()])), 1);
      })
    ));
  assert.equal(seen, [undefined]);
});

test("outside() is not spoilt by an enterWith() inside an earlier one", () => {
  outside(() => store.enterWith("spoilt"));
  assert.is(outside(() => store.getStore()), undefined);
});

test("outside() returns and throws what the function does, and the caller's store is back", () => {
  store.run("a", () => {
    assert.is(outside(() => 7), 7);
    assert.throws(() =>
      outside(() => {
        throw new Error("out");
      }), "out");
    assert.is(store.getStore(), "a");
  });
});

test("run() calls back in the captured context, and the caller's is back after it", () => {
  const context = store.run("request", capture);
  store.run("socket", () => {
    const seen = run(
      context,
      function (this: Map<string, string>, key: string): unknown[] {
        return [this.get(key), store.getStore()];
      },
      new Map([["k", "v"]]),
      "k",
    );
    assert.equal(seen, ["v", "request"]);
    assert.is(store.getStore(), "socket");
  });
});

test("importing inside a store does not capture it", async () => {
  // A second instance of the two files, as the first import of a lazy program would make them.
  const { outside: outsideOfSecond } = await store.run("importer", async () => {
    const context = await import(second("context")) as {
      outside: typeof outside;
      useContextSlot: typeof useContextSlot;
    };
    const { denoContextSlot } = await import(second("deno")) as typeof import("../../src/runtime/deno.ts");
    const slot = denoContextSlot((globalThis as { Deno?: object }).Deno ?? {});
    if (slot !== undefined) context.useContextSlot(slot);
    assert.is(context.outside(() => store.getStore()), undefined);
    return context;
  });
  assert.is.not(outsideOfSecond, outside);
  assert.is(outsideOfSecond(() => store.getStore()), undefined);
  await turn();
  assert.is(store.run("other", () => outsideOfSecond(() => store.getStore())), undefined);
  // Deno 2.9.5 leaves the importer's store on its event loop until the next import().
  await outside(() => import(second("errors")));
});

function second(name: string): string {
  const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
  const { pathname } = new URL(`../../src/runtime/${name}.${extension}`, import.meta.url);
  return `${pathname}?second`;
}

for (const name of adapterNames) {
  const adapter = adapters().find(({ capabilities }) => capabilities.adapter === name);
  const isHere = needsAdapter(name);
  test.needs(isHere, `${name}: a socket opened outside shows no store to its handlers`, async () => {
    await turn();
    const server = createServer((peer) => peer.on("error", () => {}).on("data", () => peer.end("bye")));
    await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
    const { port } = server.address() as AddressInfo;
    const seen: Record<string, unknown> = {};
    await new Promise<void>((resolve, reject) => {
      const note = (event: string): unknown => seen[event] = store.getStore();
      const handler = {
        onOpen(): void {
          note("open");
          socket.pause();
          // What a request does later must not lead the socket into its store.
          store.run("request", () => setTimeout(() => socket.resume(), 2));
          store.run("request", () => setTimeout(() => socket.write(new Uint8Array(3)), 4));
        },
        onData: (): void => void note("data"),
        onEnd(): void {
          note("end");
          socket.end();
        },
        onDrain(): void {},
        onClose(error?: Error): void {
          note("close");
          error === undefined ? resolve() : reject(error);
        },
      };
      const socket: Socket = store.run(
        "creator",
        () => outside(() => adapter!.connect({ host: "127.0.0.1", port }, handler)),
      );
    });
    await new Promise((resolve) => server.close(resolve));
    assert.equal(seen, { open: undefined, data: undefined, end: undefined, close: undefined });
  });
}

test("createConnect() opens outside of the store of its caller, and so are the handlers called", async () => {
  const server = createServer((peer) => peer.on("error", () => {}).end("bye"));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const seen: Record<string, unknown> = {};
  await new Promise<void>((resolve) => {
    const note = (event: string) => (): void => void (seen[event] = store.getStore() ?? "nothing");
    const socket: Socket = store.run("creator", () =>
      createConnect()({ host: "127.0.0.1", port }, {
        onOpen: note("open"),
        onData: note("data"),
        onEnd(): void {
          note("end")();
          socket.end();
        },
        onDrain: (): void => {},
        onClose(): void {
          note("close")();
          resolve();
        },
      }));
  });
  await new Promise((resolve) => server.close(resolve));
  assert.equal(seen, { open: "nothing", data: "nothing", end: "nothing", close: "nothing" });
});

test("agent.request: a pooled socket is in no request's store, and each request goes on in its own", async () => {
  const seen: unknown[] = [];
  const own = createConnect();
  const agent = new Agent({
    keepAlive: true,
    // Below the agent and inside what it opens sockets by: each event of the socket is looked at.
    runtime: (options, handler) =>
      own(options, {
        onOpen: () => handler.onOpen(),
        onData: (chunk) => {
          seen.push(store.getStore() ?? "nothing");
          handler.onData(chunk);
        },
        onEnd: (authenticated) => handler.onEnd(authenticated),
        onDrain: () => handler.onDrain(),
        onClose: (error) => handler.onClose(error),
      }),
  });
  const server = createServer((peer) =>
    peer.on("error", () => {}).on("data", () => peer.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"))
  );
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  for (const name of ["first", "second"]) {
    await store.run(name, async () => {
      const response = await agent.request(`http://127.0.0.1:${port}/`);
      assert.is(store.getStore(), name);
      assert.is(await response.body.text(), "ok");
      assert.is(store.getStore(), name);
    });
  }
  agent.destroy();
  await new Promise((resolve) => server.close(resolve));
  assert.ok(seen.length >= 2);
  assert.equal([...new Set(seen)], ["nothing"]);
});

test.run();
