import { createServer, type Server } from "node:net";
import type { AddressInfo } from "node:net";
import * as assert from "uvu/assert";
import { bunCapabilities } from "../../src/runtime/bun.ts";
import { denoCapabilities } from "../../src/runtime/deno.ts";
import {
  adapterFor,
  adapterNames,
  adapters,
  createConnect,
  fromDuplex,
  lendDuplex,
} from "../../src/runtime/mod.ts";
import type { Connect, ConnectOptions, Socket } from "../../src/runtime/socket.ts";
import { ManualClock, MemoryNetwork } from "../../src/testing.ts";
import { ca, client } from "../certs/certs.ts";
import { suite } from "../harness/suite.ts";
import { assertUnsupported, bytes, Recorder } from "./node_harness.ts";

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

const native = adapters()[0]!.capabilities.adapter;
const hasNative = { nativeSockets: native !== "node" };
const target: ConnectOptions = { host: "peer.test", port: 443 };

function chosen(options: ConnectOptions): string {
  return adapterFor({ ...target, ...options }).capabilities.adapter;
}

test("connects without binding options go to the runtime's own sockets, with hints or without", () => {
  const hints: ConnectOptions = {
    noDelay: false,
    keepAlive: true,
    keepAliveInitialDelayMs: 5,
    autoSelectFamily: false,
    autoSelectFamilyAttemptTimeoutMs: 100,
    highWaterMark: 1,
  };
  const asksNothing: ConnectOptions = { family: 0, hints: 0, localPort: 0, lookup: undefined };
  for (const options of [{}, hints, asksNothing, { path: "/run/peer.sock" }, { host: "::1" }]) {
    assert.is(chosen(options), native, JSON.stringify(options));
  }
});

test("TLS with what both native adapters honour is theirs", () => {
  const honoured = [{}, { servername: "other.test" }, { ALPNProtocols: ["http/1.1"] }, {
    rejectUnauthorized: true,
  }];
  for (const tls of honoured) assert.is(chosen({ tls }), native, JSON.stringify(tls));
});

test("binding options that no native adapter has go to node:net and node:tls", () => {
  const plain: ConnectOptions[] = [
    { family: 4 },
    { family: 6 },
    { lookup: () => {} },
    { hints: 32 },
    { localAddress: "127.0.0.1" },
    { localPort: 5000 },
  ];
  for (const options of plain) assert.is(chosen(options), "node", Object.keys(options)[0]);
  const tls: ConnectOptions["tls"][] = [
    { pfx: "x" },
    { rejectUnauthorized: false },
    { checkServerIdentity: () => undefined },
    { minVersion: "TLSv1.3" },
    { maxVersion: "TLSv1.2" },
    { session: bytes("x") },
    { secureContext: {} },
    { key: [{ pem: "x", passphrase: "y" }] },
  ];
  for (const options of tls) assert.is(chosen({ tls: options }), "node", Object.keys(options!)[0]);
  assert.is(chosen({ path: "/run/peer.sock", tls: {} }), "node", "TLS over a unix socket");
});

test("ca and a client certificate go where they mean what Node's mean: not to Deno's own sockets", () => {
  const expected = native === denoCapabilities.adapter ? "node" : native;
  assert.is(chosen({ tls: { ca } }), expected);
  assert.is(chosen({ tls: { cert: client.cert, key: client.key } }), expected);
});

test.needs(hasNative, "a name that is verified and not sent goes where that can be said", () => {
  assert.is(chosen({ tls: { servername: "" } }), native === bunCapabilities.adapter ? native : "node");
  assert.is(chosen({ tls: { servername: "", host: "other.test" } }), "node");
  assert.is(chosen({ host: "127.0.0.1", tls: {} }), native);
});

test("an option that nobody honours is an error that names it", () => {
  const connect = createConnect();
  assertUnsupported(
    () => connect({ ...target, tls: { nonsense: 1 } as never }, new Recorder()),
    "tls.nonsense",
  );
});

test("the adapter of a connection is in its info", async () => {
  assert.is(await adapterOf(createConnect(), {}), native);
  assert.is(await adapterOf(createConnect(), { family: 4 }), "node");
  assert.is(await adapterOf(createConnect({ maxCachedSessions: 0 }), { family: 4 }), "node");
});

test("the choice can be forced by name, and then nothing is routed", async () => {
  assert.is(await adapterOf(createConnect({ runtime: "node" }), {}), "node");
  for (const { capabilities } of adapters()) {
    const connect = createConnect({ runtime: capabilities.adapter as "node" });
    assert.is(await adapterOf(connect, {}), capabilities.adapter);
  }
});

test.needs(hasNative, "a forced adapter refuses what it would be routed past for", () => {
  const connect = createConnect({ runtime: native as "deno" });
  assertUnsupported(() => connect({ ...target, localAddress: "127.0.0.1" }, new Recorder()), "localAddress");
});

test("the choice can be forced to a Connect of the user's own", async () => {
  const clock = new ManualClock();
  const network = new MemoryNetwork({ clock });
  network.listen({ host: "peer.test", port: 443 }, (peer) => void peer.send("hello"));
  const seen = new Recorder();
  const socket = createConnect({ runtime: network.connect })(target, seen);
  await clock.until(seen.untilText("hello"));
  assert.is(socket.info?.adapter, "memory");
  socket.destroy();
  await clock.until(seen.closed);
});

test("a name that is no adapter's, or one that is not here, is refused", () => {
  assert.throws(
    () => createConnect({ runtime: "browser" as never }),
    (error: { code?: string }) => error.code === "ERR_INVALID_ARG_VALUE",
  );
  const absent = adapterNames.filter((name) =>
    !adapters().some(({ capabilities }) => capabilities.adapter === name)
  );
  assert.is(absent.length, 3 - adapters().length);
  for (const runtime of absent) {
    assert.throws(
      () => createConnect({ runtime }),
      (error: { code?: string }) => error.code === "ERR_UNSUPPORTED_OPTION",
    );
  }
});

test("hints that cannot be followed are in info, and never route", async () => {
  for (const { capabilities, connect } of adapters()) {
    const seen = new Recorder();
    const socket = connect({ host: "127.0.0.1", port, noDelay: true, highWaterMark: 1 }, seen);
    await seen.opened;
    assert.equal(socket.info?.ignoredHints, ["highWaterMark"], capabilities.adapter);
    socket.destroy();
    await seen.closed;
  }
});

test("@deno/shim-deno as globalThis.Deno is not taken for Deno, nor an own Bun for Bun", async () => {
  const scope = globalThis as { Deno?: unknown; Bun?: unknown };
  const before = { Deno: scope.Deno, Bun: scope.Bun };
  const shim = await import("@deno/shim-deno") as { Deno: { version: { deno: string } } };
  assert.type(shim.Deno.version.deno, "string");
  const hide = (name: "Deno" | "Bun", value: unknown): void => {
    if (before[name] === undefined) scope[name] = value;
  };
  hide("Deno", shim.Deno);
  hide("Bun", { version: "1.4.4", connect: () => assert.unreachable() });
  try {
    const extension = import.meta.url.endsWith(".ts") ? "ts" : "js";
    const { pathname } = new URL(`../../src/runtime/mod.${extension}`, import.meta.url);
    const again = await import(`${pathname}?shimmed`) as { adapters: typeof adapters };
    assert.is.not(again.adapters, adapters);
    const names = again.adapters().map(({ capabilities }) => capabilities.adapter);
    assert.equal(names, adapters().map(({ capabilities }) => capabilities.adapter));
  } finally {
    for (const name of ["Deno", "Bun"] as const) if (before[name] === undefined) delete scope[name];
  }
});

test("lendDuplex() gives the stream of a socket that was dialled by name, and fromDuplex() takes it back", async () => {
  const seen = new Recorder();
  const socket = createConnect({ runtime: "node" })({ host: "localhost", family: 4, port }, seen);
  await seen.opened;
  const stream = lendDuplex(socket);
  assert.type(stream?.write, "function");
  const again = new Recorder();
  const back = fromDuplex(stream!, again);
  back.write(bytes("echo"));
  await again.untilText("echo");
  back.destroy();
  await again.closed;
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

test.run();
