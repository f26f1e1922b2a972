import * as net from "node:net";
import type * as tls from "node:tls";
import * as assert from "uvu/assert";
import { connectNode, nodeCapabilities } from "../../src/runtime/node.ts";
import type { ConnectOptions, Socket } from "../../src/runtime/socket.ts";
import { ca, good } from "../certs/certs.ts";
import { suite } from "../harness/suite.ts";
import {
  bytes,
  firstDifference,
  type Listening,
  listenTcp,
  listenTls,
  pattern,
  Recorder,
  settle,
} from "./node_harness.ts";

const test = suite("connectNode: reading and writing");

/** One open connection, with both its ends in hand. */
interface Pair {
  readonly seen: Recorder;
  readonly socket: Socket;
  readonly peer: net.Socket;
  readonly server: Listening;
  /** Makes the proxy in between stop reading from the client, or go on. */
  holdBack(on: boolean): void;
}

async function connected(kind: "tcp" | "tls", { throughProxy = false } = {}): Promise<Pair> {
  let found: (peer: net.Socket) => void = () => {};
  const peers = new Promise<net.Socket>((resolve) => found = resolve);
  const origin = kind === "tcp"
    ? await listenTcp(found)
    : await listenTls({ ...good, allowHalfOpen: true } as tls.TlsOptions, found);
  const server = throughProxy ? await proxyTo(origin) : origin;
  const seen = new Recorder();
  const options: ConnectOptions = { host: "127.0.0.1", port: server.port };
  const socket = connectNode(kind === "tcp" ? options : { ...options, tls: { ca } }, seen);
  await Promise.race([seen.opened, seen.closed]);
  const holdBack = (on: boolean): void => {
    if (on) server.connections[0]!.pause();
    else server.connections[0]!.resume();
  };
  return { seen, socket, peer: await peers, server, holdBack };
}

/** A server in front of `origin`; closing it closes both. */
async function proxyTo(origin: Listening): Promise<Listening> {
  const proxy = await listenTcp((client) => {
    const onward = net.connect({ host: "127.0.0.1", port: origin.port, allowHalfOpen: true });
    onward.on("error", () => client.destroy());
    client.on("close", () => onward.destroy());
    client.pipe(onward).pipe(client);
  });
  return { ...proxy, close: () => Promise.all([proxy.close(), origin.close()]).then(() => {}) };
}

/** Closes both ends and looks at what the client was told last. */
async function finish({ socket, seen, server }: Pair): Promise<void> {
  socket.destroy();
  await seen.closed;
  await server.close();
  assert.is(seen.log.filter((event) => event.startsWith("close")).length, 1);
  assert.ok(seen.log.at(-1)?.startsWith("close"), seen.log.join(", "));
}

for (const kind of ["tcp", "tls"] as const) {
  test(`${kind}: the shared buffer keeps contents apart over many sockets`, async () => {
    const size = 300_000;
    const open = (seed: number) => (connection: net.Socket): void => {
      const body = pattern(seed, size);
      for (let at = 0; at < size; at += 7_001 + seed) connection.write(body.subarray(at, at + 7_001 + seed));
      connection.end();
    };
    let next = 0;
    const server = kind === "tcp"
      ? await listenTcp((connection) =>
        connection.once("data", (chunk: Uint8Array) => open(chunk[0]!)(connection))
      )
      : await listenTls(
        good,
        (connection) => connection.once("data", (chunk: Uint8Array) => open(chunk[0]!)(connection)),
      );
    const all = await Promise.all(Array.from({ length: 40 }, async () => {
      const seed = next++;
      const seen = new Recorder();
      const options: ConnectOptions = { host: "127.0.0.1", port: server.port };
      const socket = connectNode(kind === "tcp" ? options : { ...options, tls: { ca } }, seen);
      // Writing inside onData may not disturb the chunk that is lent.
      seen.dataHook = (): void => void socket.write(new Uint8Array(0));
      socket.write(Uint8Array.of(seed));
      await seen.ended;
      socket.end();
      await seen.closed;
      return { seed, seen };
    }));
    for (const { seed, seen } of all) {
      assert.is(seen.length, size);
      assert.is(firstDifference(seed, seen.chunks), -1, `socket ${seed}`);
    }
    await server.close();
  });

  test(`${kind}: pause() inside onData is exact, and loses nothing`, async () => {
    const pair = await connected(kind);
    const { seen, socket, peer } = pair;
    const size = 2_000_000;
    let paused = 0;
    seen.dataHook = (): void => {
      if (seen.chunks.length % 5 !== 0) return;
      socket.pause();
      const count = seen.chunks.length;
      setTimeout(() => {
        assert.is(seen.chunks.length, count, "no chunk came while paused");
        paused++;
        socket.resume();
      }, 3);
    };
    peer.end(pattern(1, size));
    await seen.ended;
    assert.ok(paused > 2, String(paused));
    assert.is(seen.length, size);
    assert.is(firstDifference(1, seen.chunks), -1);
    await finish(pair);
  });

  test(`${kind}: what waits while paused is not the shared buffer`, async () => {
    const [waiting, reading] = [await connected(kind), await connected(kind)];
    waiting.socket.pause();
    waiting.peer.write(pattern(6, 5_000));
    await settle();
    reading.peer.write(pattern(7, 200_000));
    await reading.seen.until(() => reading.seen.length === 200_000);
    waiting.socket.resume();
    await waiting.seen.until(() => waiting.seen.length === 5_000);
    assert.is(firstDifference(6, waiting.seen.chunks), -1);
    await Promise.all([finish(waiting), finish(reading)]);
  });

  test(`${kind}: destroy() while data, end and close wait is one close`, async () => {
    const pair = await connected(kind);
    pair.socket.pause();
    pair.peer.end("unread");
    pair.socket.end();
    await settle(40);
    pair.socket.destroy();
    await pair.seen.closed;
    await settle();
    assert.equal(pair.seen.log.filter((event) => event !== "drain"), ["open", "close"]);
    await finish(pair);
  });

  test(`${kind}: a paused reader holds the peer back`, async () => {
    const pair = await connected(kind);
    const { seen, socket, peer } = pair;
    socket.pause();
    const size = 32 * 1024 * 1024;
    peer.end(new Uint8Array(size));
    await settle(150);
    assert.is(seen.length, 0);
    assert.ok(peer.writableLength > size / 4, `the peer still holds ${peer.writableLength}`);
    socket.resume();
    await seen.ended;
    assert.is(socket.bytesRead, size);
    await finish(pair);
  });

  test(`${kind}: write() asks to wait, and onDrain follows when all is taken`, async () => {
    // The peer stands behind a proxy that can stop to read: not every runtime's TLSSocket can.
    const pair = await connected(kind, { throughProxy: true });
    const { seen, socket, peer } = pair;
    pair.holdBack(true);
    const size = 16 * 1024 * 1024;
    const body = pattern(2, size);
    let asked = 0;
    for (let at = 0; at < size; at += 65_536) if (!socket.write(body.subarray(at, at + 65_536))) asked++;
    assert.ok(asked > 0);
    assert.ok(socket.pendingBytes > 0);
    assert.is(socket.bytesWritten, size);
    await settle(50);
    assert.not.ok(seen.log.includes("drain"));
    const received: Uint8Array[] = [];
    peer.on("data", (chunk: Uint8Array) => received.push(chunk.slice()));
    pair.holdBack(false);
    await seen.until(() => seen.log.includes("drain"));
    assert.is(socket.pendingBytes, 0);
    socket.end();
    await new Promise((resolve) => peer.once("end", resolve));
    assert.is(firstDifference(2, received), -1);
    assert.is(received.reduce((sum, chunk) => sum + chunk.length, 0), size);
    assert.is(seen.log.filter((event) => event === "drain").length, 1);
    await finish(pair);
  });

  test(`${kind}: "more" keeps the order and goes out by itself`, async () => {
    const pair = await connected(kind);
    const { socket, peer } = pair;
    let received = "";
    let isAll = (): void => {};
    peer.on("data", (chunk: Uint8Array) => {
      received += new TextDecoder().decode(chunk);
      if (received.length === 4) isAll();
    });
    const all = new Promise<void>((resolve) => isAll = resolve);
    socket.write(bytes("a"), true);
    socket.write(bytes("b"), true);
    socket.write(bytes("c"));
    socket.write(bytes("d"), true);
    await all;
    assert.is(received, "abcd");
    socket.write(bytes("e"), true);
    socket.end();
    await new Promise((resolve) => peer.once("end", resolve));
    assert.is(received, "abcde");
    await finish(pair);
  });

  test(`${kind}: end() leaves reading open`, async () => {
    const pair = await connected(kind);
    const { seen, socket, peer } = pair;
    socket.write(bytes("question"));
    socket.end();
    socket.end();
    let received = "";
    peer.on("data", (chunk: Uint8Array) => received += new TextDecoder().decode(chunk));
    await new Promise((resolve) => peer.once("end", resolve));
    assert.is(received, "question");
    peer.end("answer");
    await seen.closed;
    assert.is(seen.text, "answer");
    assert.equal(seen.log.slice(-2), ["end", "close"]);
    await finish(pair);
  });

  test(`${kind}: end() in the turn that opens the socket loses nothing of what comes`, async () => {
    const answering = (connection: net.Socket): void => void connection.end("answer");
    const server = kind === "tcp" ? await listenTcp(answering) : await listenTls(good, answering);
    for (const isEarly of [true, false]) {
      const seen = new Recorder();
      const options: ConnectOptions = { host: "127.0.0.1", port: server.port };
      const socket = connectNode(kind === "tcp" ? options : { ...options, tls: { ca } }, seen);
      if (!isEarly) await seen.opened;
      socket.end();
      await seen.closed;
      assert.is(seen.text, "answer");
      assert.equal(seen.log.slice(-2), ["end", "close"]);
    }
    await server.close();
  });

  test(`${kind}: the peer's end leaves writing open`, async () => {
    const pair = await connected(kind);
    const { seen, socket, peer } = pair;
    peer.end("done");
    await seen.ended;
    let received = "";
    peer.on("data", (chunk: Uint8Array) => received += new TextDecoder().decode(chunk));
    const ended = new Promise((resolve) => peer.once("end", resolve));
    socket.write(bytes("and "));
    await settle();
    socket.write(bytes("more"));
    socket.end();
    await Promise.all([seen.closed, ended]);
    assert.is(received, "and more");
    assert.is(seen.error, undefined);
    await finish(pair);
  });

  test(`${kind}: an idle socket tells the peer's end at once`, async () => {
    const pair = await connected(kind);
    pair.socket.unref?.();
    pair.peer.end();
    await pair.seen.ended;
    assert.equal(pair.seen.log.filter((event) => event !== "drain"), ["open", "end"]);
    pair.socket.ref?.();
    await finish(pair);
  });

  test.needs(
    { seesCloseWhilePaused: nodeCapabilities.seesCloseWhilePaused },
    `${kind}: a paused socket tells the peer's end where nothing waits before it`,
    async () => {
      const pair = await connected(kind);
      pair.socket.pause();
      pair.peer.end();
      await pair.seen.ended;
      await finish(pair);
    },
  );

  test(`${kind}: data and end that come while paused wait, in order`, async () => {
    const pair = await connected(kind);
    const { seen, socket, peer } = pair;
    socket.pause();
    peer.end("last words");
    await settle(50);
    assert.is(seen.text, "");
    assert.not.ok(seen.log.includes("end"));
    socket.end();
    await settle(50);
    assert.not.ok(seen.log.includes("close"));
    socket.resume();
    await seen.closed;
    assert.is(seen.text, "last words");
    assert.equal(seen.log.slice(-2), ["end", "close"]);
    await finish(pair);
  });

  test(`${kind}: destroy() inside onData is the last word`, async () => {
    const pair = await connected(kind);
    const { seen, socket, peer } = pair;
    seen.dataHook = (): void => socket.destroy();
    peer.end(new Uint8Array(1_000_000));
    await seen.closed;
    await settle();
    assert.is(seen.log.filter((event) => event.startsWith("data")).length, 1);
    assert.not.ok(seen.log.includes("end"), "trap 11: no end after our own destroy()");
    assert.is(seen.error, undefined);
    await finish(pair);
  });

  test(`${kind}: destroy() drops what waits, and closes`, async () => {
    const pair = await connected(kind);
    const { seen, socket, peer } = pair;
    socket.pause();
    peer.end("unread");
    await settle(50);
    socket.destroy(Object.assign(new Error("enough"), { code: "ETIMEDOUT" }));
    await seen.closed;
    assert.is(seen.text, "");
    assert.is(seen.error?.code, "ETIMEDOUT");
    await finish(pair);
  });

  test(`${kind}: nothing is taken after end() or destroy()`, async () => {
    const pair = await connected(kind);
    const { socket, seen } = pair;
    socket.end();
    assert.is(socket.write(bytes("x")), false);
    socket.destroy();
    assert.is(socket.write(bytes("x")), false);
    assert.is(socket.bytesWritten, 0);
    assert.is(socket.pendingBytes, 0);
    await seen.closed;
    socket.end();
    socket.pause();
    socket.resume();
    socket.destroy(new Error("too late"));
    assert.is(seen.error, undefined);
    await finish(pair);
  });

  test(`${kind}: the handler can be replaced, inside a callback too`, async () => {
    const pair = await connected(kind);
    const { seen, socket, peer } = pair;
    const second = new Recorder();
    seen.dataHook = (): void => {
      socket.handler = second;
    };
    peer.write("one");
    await seen.untilText("one");
    peer.end("two");
    await second.ended;
    assert.is(second.text, "two");
    assert.not.ok(seen.log.includes("end"));
    socket.destroy();
    await second.closed;
    await pair.server.close();
  });
}

test("tcp: a reset is ECONNRESET, after the data before it", async () => {
  const pair = await connected("tcp");
  const { seen, peer } = pair;
  peer.write("partial");
  await seen.untilText("partial");
  peer.resetAndDestroy();
  const error = await seen.closed;
  assert.is(error?.code, "ECONNRESET");
  assert.is(error?.phase, "open");
  assert.not.ok(seen.log.includes("end"));
  await finish(pair);
});

test("tcp: a reset behind waiting data is told as the flags say", async () => {
  const pair = await connected("tcp");
  const { seen, socket, peer } = pair;
  socket.pause();
  // More than one read, less than the kernel's buffers.
  peer.write(new Uint8Array(200_000));
  await settle(30);
  peer.resetAndDestroy();
  await settle(30);
  socket.resume();
  await Promise.race([seen.ended, seen.closed]);
  if (nodeCapabilities.keepsDataBeforeReset) assert.is(seen.length, 200_000);
  else assert.ok(seen.length < 200_000);
  // Trap 7 of TRAPS.md: the end of a body that only a close delimits proves nothing there.
  assert.is(seen.log.at(-1), nodeCapabilities.resetAfterPauseLooksClean ? "end" : "close ECONNRESET");
  await finish(pair);
});

test("tcp: a reset of a paused socket with nothing waiting is ECONNRESET", async () => {
  const pair = await connected("tcp");
  pair.socket.pause();
  pair.peer.resetAndDestroy();
  assert.is((await pair.seen.closed)?.code, "ECONNRESET");
  await finish(pair);
});

test("tcp: writing to a peer that is gone is an error and one close", async () => {
  const pair = await connected("tcp");
  const { seen, socket, peer } = pair;
  peer.resetAndDestroy();
  for (let count = 0; count < 20 && !socket.destroyed; count++) {
    socket.write(bytes("anyone?"));
    await settle(5);
  }
  const error = await seen.closed;
  assert.ok(["ECONNRESET", "EPIPE"].includes(error!.code), error!.code);
  await finish(pair);
});

test("tcp: no-delay is on: two small writes do not wait for an acknowledgement", async () => {
  const pair = await connected("tcp");
  const { seen, socket, peer } = pair;
  // Nagle holds the second write until the first is acknowledged, which a delayed acknowledgement makes 40 ms.
  let received = 0;
  peer.on("data", (chunk: Uint8Array) => {
    received += chunk.length;
    if (received % 2 === 0) peer.write("!");
  });
  const start = performance.now();
  for (let round = 1; round <= 20; round++) {
    socket.write(bytes("a"));
    await Promise.resolve();
    socket.write(bytes("b"));
    await seen.until(() => seen.length === round);
  }
  assert.ok(performance.now() - start < 400, "20 rounds take 800 ms with Nagle's algorithm");
  await finish(pair);
});

test.run();
