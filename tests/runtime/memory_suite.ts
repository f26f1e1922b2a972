import * as assert from "uvu/assert";
import { suite } from "../harness/suite.ts";
import { ManualClock, MemoryNetwork } from "../../src/testing.ts";
import type { MemoryPeer } from "../../src/testing.ts";
import type { Socket, SocketHandler } from "../../src/runtime/socket.ts";

const test = suite("MemoryNetwork");

const at = { host: "a.example", port: 80 };

/** A handler that writes down what it is told. */
function recorder(log: string[]): SocketHandler {
  return {
    onOpen: () => void log.push("open"),
    onData: (chunk) => void log.push(`data ${String.fromCharCode(...chunk)}`),
    onEnd: (authenticated) => void log.push(authenticated === undefined ? "end" : `end ${authenticated}`),
    onDrain: () => void log.push("drain"),
    onClose: (error) => void log.push(error === undefined ? "close" : `close ${error.code}`),
  };
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

interface Setup {
  clock: ManualClock;
  network: MemoryNetwork;
  socket: Socket;
  peer: MemoryPeer;
  log: string[];
}

/** One open connection. */
async function open(options: ConstructorParameters<typeof MemoryNetwork>[0] = {}): Promise<Setup> {
  const clock = new ManualClock();
  const network = new MemoryNetwork({ clock, ...options });
  const peers: MemoryPeer[] = [];
  network.listen(at, (peer) => void peers.push(peer));
  const log: string[] = [];
  const socket = network.connect(at, recorder(log));
  await clock.advance(2 * (options.latencyMs ?? 0));
  assert.equal(log.splice(0), ["open"]);
  return { clock, network, socket, peer: peers[0]!, log };
}

test("connect() and a scripted server exchange bytes", async () => {
  const clock = new ManualClock();
  const network = new MemoryNetwork({ clock });
  network.listen(at, async (peer) => {
    assert.is(await peer.readUntil("\n"), "ping\n");
    peer.send("pong");
    peer.end();
  });
  const log: string[] = [];
  const socket = network.connect(at, recorder(log));
  socket.write(bytes("ping\n"));
  assert.equal(log, []);
  await clock.settle();
  assert.equal(log, ["open", "drain", "data pong", "end"]);
  socket.end();
  await clock.settle();
  assert.equal(log.slice(4), ["close"]);
  assert.is(network.sockets.size, 0);
  assert.is(clock.pending, 0);
});

test("connect() is refused where nobody listens", async () => {
  const clock = new ManualClock();
  const network = new MemoryNetwork({ clock, latencyMs: 10 });
  network.listen(at, () => {});
  const log: string[] = [];
  network.connect({ host: "a.example", port: 81 }, recorder(log));
  network.connect({ host: "b.example", port: 80 }, recorder(log));
  await clock.advance(19);
  assert.equal(log, ["close ENOTFOUND"]);
  await clock.advance(1);
  assert.equal(log, ["close ENOTFOUND", "close ECONNREFUSED"]);
  assert.is(network.sockets.size, 0);
});

test("fault() makes connects fail with any code, until it is lifted", async () => {
  const clock = new ManualClock();
  const network = new MemoryNetwork({ clock });
  network.listen(at, () => {});
  const lift = network.fault(at, "EHOSTUNREACH");
  const log: string[] = [];
  network.connect(at, recorder(log));
  await clock.settle();
  lift();
  network.connect(at, recorder(log));
  await clock.settle();
  assert.equal(log, ["close EHOSTUNREACH", "open"]);
});

test("fault() hangs a connect until it is destroyed", async () => {
  const clock = new ManualClock();
  const network = new MemoryNetwork({ clock });
  network.fault(at, "hang");
  const log: string[] = [];
  const socket = network.connect(at, recorder(log));
  await clock.advance(1_000_000);
  assert.equal(log, []);
  assert.ok(socket.connecting);
  socket.destroy();
  assert.equal(log, []);
  await clock.settle();
  assert.equal(log, ["close"]);
  assert.is(network.sockets.size, 0);
});

test("latency delays each direction", async () => {
  const { clock, socket, peer, log } = await open({ latencyMs: 50 });
  socket.write(bytes("x"));
  await clock.advance(49);
  assert.is(peer.received, "");
  await clock.advance(1);
  assert.is(peer.received, "x");
  peer.send("y");
  await clock.advance(50);
  assert.equal(log, ["drain", "data y"]);
});

test("maxReadBytes splits what is read, maxWriteBytes what is taken", async () => {
  const { clock, socket, peer, log } = await open({ maxReadBytes: 2, maxWriteBytes: 3 });
  peer.send("abcde");
  await clock.settle();
  assert.equal(log.splice(0), ["data ab", "data c", "data de"]);
  socket.write(bytes("abcde"));
  await clock.settle();
  assert.is(peer.received, "abcde");
  assert.equal(log, ["drain"]);
});

test("windowBytes bounds what a peer that does not read makes pending", async () => {
  const { clock, socket, peer, log } = await open({ windowBytes: 10 });
  peer.socket.pause();
  socket.write(new Uint8Array(25));
  await clock.settle();
  assert.is(socket.pendingBytes, 15);
  assert.equal(log, []);
  peer.socket.resume();
  await clock.settle();
  assert.is(socket.pendingBytes, 0);
  assert.equal(log, ["drain"]);
  assert.is(peer.receivedBytes, 25);
});

test("reset() is ECONNRESET for the other end", async () => {
  const { clock, peer, log, network } = await open();
  peer.reset();
  await clock.settle();
  assert.equal(log, ["close ECONNRESET"]);
  assert.is(network.sockets.size, 0);
});

test("resetAfterSending() cuts a response at its byte", async () => {
  const { clock, peer, log } = await open();
  peer.resetAfterSending(3);
  peer.send("abcdef");
  await clock.settle();
  assert.equal(log, ["data abc", "close ECONNRESET"]);
});

test("resetAfterReceiving() cuts a request at its byte", async () => {
  const { clock, socket, peer, log } = await open({ maxReadBytes: 1 });
  peer.resetAfterReceiving(3);
  socket.write(bytes("abcdef"));
  await clock.settle();
  assert.is(peer.received, "abc");
  assert.equal(log, ["drain", "close ECONNRESET"]);
});

test("data before an RST is delivered first, or lost where resetOvertakesData says so", async () => {
  for (const resetOvertakesData of [false, true]) {
    const { clock, socket, peer, log } = await open({ resetOvertakesData });
    socket.pause();
    peer.send("abc");
    await clock.settle();
    peer.reset();
    await clock.settle();
    assert.equal(log, resetOvertakesData ? ["close ECONNRESET"] : []);
    socket.resume();
    await clock.settle();
    assert.equal(log, resetOvertakesData ? ["close ECONNRESET"] : ["data abc", "close ECONNRESET"]);
  }
});

test("vanish() cuts the wire without a word", async () => {
  const { clock, socket, peer, log } = await open({ windowBytes: 4 });
  peer.vanish();
  peer.send("lost");
  peer.reset();
  socket.write(bytes("abcdef"));
  await clock.advance(1_000_000);
  assert.equal(log, []);
  assert.is(socket.pendingBytes, 2);
});

test("a peer that is gone answers data with an RST", async () => {
  const { clock, socket, peer, log } = await open();
  peer.destroy();
  await clock.settle();
  assert.equal(log.splice(0), ["end"]);
  socket.write(bytes("late"));
  await clock.settle();
  assert.equal(log, ["drain", "close ECONNRESET"]);
});

test("destroy() with unread data is an RST for the peer, else a FIN", async () => {
  for (const isUnread of [true, false]) {
    const { clock, socket, peer } = await open();
    socket.pause();
    if (isUnread) peer.send("unread");
    await clock.settle();
    socket.destroy();
    await clock.settle();
    assert.is(peer.ended, !isUnread);
    peer.socket.end();
    assert.is((await peer.closed)?.code, isUnread ? "ECONNRESET" : undefined);
  }
});

test("a chunk is overwritten once onData has returned", async () => {
  const { clock, socket, peer } = await open();
  const kept: Uint8Array[] = [];
  socket.handler = { ...socket.handler, onData: (chunk) => void kept.push(chunk) };
  peer.send("abc");
  await clock.settle();
  assert.equal([...kept[0]!], [0xdb, 0xdb, 0xdb]);
});

test("a written chunk is read when the system takes it, not before", async () => {
  const { clock, socket, peer } = await open();
  const chunk = bytes("abc");
  socket.write(chunk);
  chunk.fill(120);
  await clock.settle();
  assert.is(peer.received, "xxx");
});

test("write() with more joins the next chunk into one segment", async () => {
  const { clock, socket, peer } = await open();
  const segments: number[] = [];
  peer.socket.handler = { ...peer.socket.handler, onData: (chunk) => void segments.push(chunk.length) };
  socket.write(bytes("head"), true);
  socket.write(bytes("body"));
  socket.write(bytes("next"));
  await clock.settle();
  assert.equal(segments, [8, 4]);
});

test("ref() and unref() are seen in holdsProcess", async () => {
  const { clock, network, socket } = await open();
  assert.is(network.holdsProcess, true);
  socket.unref!();
  assert.is(network.holdsProcess, false);
  socket.ref!();
  socket.destroy();
  await clock.settle();
  assert.is(network.holdsProcess, false);
});

test("a bad port is thrown at once", () => {
  const network = new MemoryNetwork();
  assert.throws(
    () => network.connect({ port: 70_000 }, recorder([])),
    (error: RangeError & { code: string }) =>
      error instanceof RangeError && error.code === "ERR_SOCKET_BAD_PORT",
  );
});

test("works over the system's clock too", async () => {
  const network = new MemoryNetwork();
  network.listen(at, (peer) => void peer.send("hello"));
  const log: string[] = [];
  await new Promise<void>((resolve) => {
    const handler = recorder(log);
    const socket = network.connect(at, {
      ...handler,
      onData: () => socket.destroy(),
      onClose: () => resolve(),
    });
  });
  assert.equal(log, ["open"]);
});

test.run();
