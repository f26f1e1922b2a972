/** A socket of node:net or node:tls that is shown while others race, and is given the winner's connection. */
import { AsyncLocalStorage } from "node:async_hooks";
import * as net from "node:net";
import * as tls from "node:tls";
import * as assert from "uvu/assert";
import { outside } from "../../src/runtime/context.ts";
import { createDialer, shownSocket } from "../../src/runtime/dial.ts";
import { connectNode, lookupNode, nodeCapabilities, streamOf } from "../../src/runtime/node.ts";
import { holdNode } from "../../src/runtime/node_held.ts";
import type { Connect, LookupFunction, Socket, SocketHandler } from "../../src/runtime/socket.ts";
import { ca, good } from "../certs/certs.ts";
import { suite } from "../harness/suite.ts";
import { bytes, type Listening, listenTcp, listenTls, Recorder } from "./node_harness.ts";
import { takeUncaught } from "./uncaught.ts";

const test = suite("runtime/node_held");

/** Never opens: nothing on loopback lets a connect hang. */
class Hanging implements Socket {
  static destroyed = 0;
  readonly connecting = true;
  destroyed = false;
  readonly pendingBytes = 0;
  readonly bytesRead = 0;
  readonly bytesWritten = 0;
  handler: SocketHandler;

  constructor(handler: SocketHandler) {
    this.handler = handler;
    Hanging.last = this;
  }

  write(): boolean {
    return true;
  }

  isReferenced = true;
  static last: Hanging | undefined;

  ref(): void {
    this.isReferenced = true;
  }

  unref(): void {
    this.isReferenced = false;
  }

  end(): void {}
  pause(): void {}
  resume(): void {}

  destroy(): void {
    if (this.destroyed) return;
    this.destroyed = true;
    Hanging.destroyed++;
    queueMicrotask(() => this.handler.onClose());
  }
}

/** Dials as mod.ts does, but for the address 127.9.9.9, which hangs. */
const dial: Connect = createDialer({
  connect: (options, handler, onTransport) =>
    options.host === "127.9.9.9" ? new Hanging(handler) : connectNode(options, handler, onTransport),
  hold: (options, handler, onReference) => holdNode(connectNode, options, handler, onReference),
  tellsTransport: true,
  capabilities: nodeCapabilities,
  lookup: lookupNode,
});

const addresses: LookupFunction = (_name, _options, done) =>
  done(null, [{ address: "127.9.9.9", family: 4 }, { address: "127.0.0.1", family: 4 }]);

/** What the servers were told of the name that is asked for. */
const names: unknown[] = [];

async function echoing(isSecure: boolean, body: (server: Listening) => Promise<void>): Promise<void> {
  const echo = (socket: net.Socket): void => {
    names.push((socket as Partial<tls.TLSSocket>).servername);
    socket.pipe(socket);
  };
  const server = isSecure ? await listenTls(good, echo) : await listenTcp(echo);
  try {
    await body(server);
  } finally {
    await server.close();
  }
}

for (const isSecure of [false, true]) {
  const name = isSecure ? "tls" : "tcp";

  test(`${name}: it is connecting until the second address has won, and carries what was and will be written`, () =>
    echoing(isSecure, async (server) => {
      const seen = new Recorder();
      const before = Hanging.destroyed;
      const socket = dial({
        host: "localhost",
        port: server.port,
        lookup: addresses,
        autoSelectFamilyAttemptTimeoutMs: 10,
        ...isSecure ? { tls: { ca } } : {},
      }, seen);
      assert.is(shownSocket(socket), shownSocket(socket));
      const stream = streamOf(shownSocket(socket)) as net.Socket;
      assert.instance(stream, isSecure ? tls.TLSSocket : net.Socket);
      assert.equal([stream.connecting, socket.connecting, seen.log], [true, true, []]);
      socket.write(bytes("early "));
      await seen.opened;
      assert.is(Hanging.destroyed, before + 1);
      assert.equal([stream.connecting, stream.remotePort], [false, server.port]);
      assert.is(stream.remoteAddress, "127.0.0.1");
      const megabyte = new Uint8Array(1 << 20).fill(65);
      socket.write(megabyte);
      await seen.until(() => seen.length === megabyte.length + 6);
      assert.is(seen.text.slice(0, 8), "early AA");
      assert.is(socket.bytesRead, megabyte.length + 6);
      const { lookupMs, connectMs, tlsMs } = socket.info!.opening!;
      assert.equal([typeof lookupMs, typeof connectMs, typeof tlsMs], [
        "number",
        "number",
        isSecure ? "number" : "undefined",
      ]);
      assert.is(server.connections.length, 1);
      socket.end();
      await seen.closed;
      assert.equal(seen.log.filter((event) => !/data|drain/.test(event)), ["open", "end", "close"]);
    }));

  test(`${name}: shown in the race, if that can be`, () =>
    echoing(isSecure, async (server) => {
      const seen = new Recorder();
      const socket = dial({
        host: "localhost",
        port: server.port,
        lookup: addresses,
        autoSelectFamilyAttemptTimeoutMs: 50,
        ...isSecure ? { tls: { ca } } : {},
      }, seen);
      await new Promise((resolve) => setTimeout(resolve, 5));
      const stream = streamOf(shownSocket(socket)) as net.Socket | undefined;
      // TLS is a part of the attempts that are under way.
      assert.is(stream === undefined, isSecure);
      await seen.opened;
      if (!isSecure) assert.is(streamOf(shownSocket(socket)), stream);
      socket.write(bytes("hello"));
      await seen.untilText("hello");
      socket.destroy();
      await seen.closed;
    }));

  for (const when of ["before the look-up", "in the race"]) {
    test(`${name}: destroyed ${when}, by its user or by the stream's, it closes once and leaves nothing`, async () => {
      for (const who of ["socket", "stream"]) {
        const seen = new Recorder();
        const before = Hanging.destroyed;
        const socket = dial({
          host: "localhost",
          port: 1,
          lookup: addresses,
          autoSelectFamilyAttemptTimeoutMs: 60_000,
          ...isSecure ? { tls: { ca } } : {},
        }, seen);
        const stream = streamOf(shownSocket(socket)) as net.Socket;
        if (when === "in the race") await new Promise((resolve) => setTimeout(resolve, 5));
        if (who === "socket") socket.destroy();
        else stream.destroy();
        await seen.closed;
        assert.is(socket.destroyed, true);
        assert.is(stream.destroyed, true);
        assert.is(Hanging.destroyed - before, when === "in the race" ? 1 : 0);
        assert.is(seen.log.length, 1);
      }
    });
  }
}

test("a held TLSSocket offers its session, its ALPN and its name, and tells of its session and its keys", () =>
  echoing(true, async (server) => {
    const seen = new Recorder();
    const socket = dial({
      host: "localhost",
      port: server.port,
      lookup: addresses,
      autoSelectFamilyAttemptTimeoutMs: 10,
      tls: { ca, ALPNProtocols: ["x/1"] },
    }, seen);
    const stream = streamOf(shownSocket(socket)) as tls.TLSSocket;
    const session = nodeCapabilities.resumesSessions
      ? new Promise<unknown>((resolve) => stream.once("session", resolve))
      : undefined;
    await seen.opened;
    assert.is(socket.info!.tls!.authorized, true);
    socket.write(bytes("x"));
    await seen.untilText("x");
    assert.is(names.at(-1), "localhost");
    if (session !== undefined) assert.ok(await session);
    socket.destroy();
    await seen.closed;
  }));

for (const isSecure of [false, true]) {
  test(`unref() and ref() of a stream that is shown are its attempts', too (${isSecure ? "tls" : "tcp"})`, async () => {
    const seen = new Recorder();
    const tls = isSecure ? { tls: { ca } } : {};
    const socket = dial({ host: "a.test", port: 1, lookup: addresses, ...tls }, seen);
    const stream = streamOf(shownSocket(socket)) as net.Socket;
    assert.is(stream.unref(), stream);
    await new Promise((resolve) => setTimeout(resolve, 5));
    assert.is(Hanging.last!.isReferenced, false);
    stream.ref();
    assert.is(Hanging.last!.isReferenced, true);
    stream.unref();
    assert.is(Hanging.last!.isReferenced, false);
    stream.destroy();
    await seen.closed;
  });
}

test("what it tells is told outside of the asynchronous context of whoever looked at it", () =>
  echoing(false, async (server) => {
    const store = new AsyncLocalStorage<string>();
    const seen = new Recorder();
    const stores: unknown[] = [];
    const socket = outside(() =>
      dial(
        { host: "a.test", port: server.port, lookup: addresses, autoSelectFamilyAttemptTimeoutMs: 10 },
        seen,
      )
    );
    store.run("mine", () => outside(() => shownSocket(socket)));
    seen.dataHook = () => stores.push(store.getStore());
    socket.write(bytes("x"));
    await seen.untilText("x");
    assert.equal(stores, [undefined]);
    socket.destroy();
    await seen.closed;
  }));

test("a listener that throws at 'connectionAttempt' is the process's affair or the connect's failure, and nothing hangs", () =>
  echoing(false, async (server) => {
    const seen = new Recorder();
    const socket = dial(
      { host: "a.test", port: server.port, lookup: addresses, autoSelectFamilyAttemptTimeoutMs: 10 },
      seen,
    );
    const stream = streamOf(shownSocket(socket)) as net.Socket;
    const thrown: unknown[] = [];
    const restore = takeUncaught((error) => thrown.push(error));
    stream.on("connectionAttempt", () => {
      throw new Error("theirs");
    });
    await Promise.race([seen.opened, seen.closed]);
    socket.destroy();
    await seen.closed;
    restore();
    const told = [...thrown, seen.error?.cause].filter((error) => error !== undefined) as Error[];
    assert.ok(told.length > 0 && told.every(({ message }) => message === "theirs"), String(told));
  }));

test.run();
