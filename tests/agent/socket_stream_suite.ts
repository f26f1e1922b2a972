import * as http from "node:http";
import type { AddressInfo } from "node:net";
import { Duplex } from "node:stream";
import * as assert from "uvu/assert";
import { duplexOf, SocketStream } from "../../src/agent/socket_stream.ts";
import { createConnect, fromDuplex } from "../../src/runtime/mod.ts";
import { connectNode } from "../../src/runtime/node.ts";
import type { Connect, Socket, SocketHandler } from "../../src/runtime/socket.ts";
import { ManualClock, MemoryNetwork, type MemoryPeer } from "../../src/testing.ts";
import { suite } from "../harness/suite.ts";
import { bytes, firstDifference, listenTcp, pattern, Recorder, settle } from "../runtime/node_harness.ts";

const test = suite("SocketStream");
const at = { host: "a.example", port: 80 };
const nobody: SocketHandler = {
  onOpen: () => {},
  onData: () => {},
  onEnd: () => {},
  onDrain: () => {},
  onClose: () => {},
};

interface Setup {
  readonly clock: ManualClock;
  readonly network: MemoryNetwork;
  readonly socket: Socket;
  readonly stream: SocketStream;
  readonly peer: MemoryPeer;
  /** The stream's events in order. */
  readonly log: string[];
}

/** A stream over one connection of the memory network; `isOpen: false` leaves it connecting. */
async function open(): Promise<Setup> {
  const clock = new ManualClock();
  const network = new MemoryNetwork({ clock });
  let peer: MemoryPeer | undefined;
  network.listen(at, (found) => void (peer = found));
  const socket = network.connect(at, nobody);
  const stream = new SocketStream(socket, clock);
  const log: string[] = [];
  for (const event of ["connect", "ready", "end", "finish", "timeout", "drain"]) {
    stream.on(event, () => log.push(event));
  }
  stream.on("error", (error: { code?: string }) => log.push(`error ${error.code}`));
  stream.on("close", (hadError: boolean) => log.push(`close ${hadError}`));
  await clock.settle();
  return { clock, network, socket, stream, peer: peer!, log };
}

/** Reads the stream as text. */
function text(stream: Duplex): { value: string } {
  const read = { value: "" };
  stream.on("data", (chunk: Uint8Array) => read.value += new TextDecoder("latin1").decode(chunk));
  return read;
}

test("exchanges bytes, and closes when both sides have ended", async () => {
  const { clock, stream, peer, log, network } = await open();
  assert.equal(log, ["connect", "ready"]);
  const read = text(stream);
  stream.write("ping");
  await clock.settle();
  assert.is(peer.received, "ping");
  peer.send("pong");
  peer.end();
  await clock.settle();
  await settle();
  assert.is(read.value, "pong");
  assert.equal(log.slice(2), ["end", "finish", "close false"]);
  assert.is(peer.ended, true, "not half-open: it ends when the peer has ended");
  assert.is(network.sockets.size, 0);
});

test("what the peer sent before its end is read at leisure", async () => {
  const { clock, stream, peer, log } = await open();
  stream.end("bye");
  peer.send("last words");
  peer.end();
  await clock.settle();
  await settle();
  assert.not.ok(log.includes("close false"));
  const read = text(stream);
  await clock.settle();
  await settle();
  assert.is(read.value, "last words");
  assert.is(log.at(-1), "close false");
});

test("a paused reader pauses the Socket", async () => {
  const { clock, stream, peer, socket } = await open();
  stream.pause();
  for (let count = 0; count < 64; count++) peer.send(new Uint8Array(16_384));
  await clock.settle();
  assert.ok(socket.bytesRead < 200_000, `${socket.bytesRead} were read ahead`);
  let length = 0;
  stream.on("data", (chunk: Uint8Array) => length += chunk.length);
  stream.resume();
  for (let round = 0; round < 200 && length < 64 * 16_384; round++) {
    await clock.settle();
    await settle(0);
  }
  assert.is(length, 64 * 16_384);
  stream.destroy();
  await clock.settle();
});

test("a failed connect is an error and a close", async () => {
  const clock = new ManualClock();
  const network = new MemoryNetwork({ clock });
  network.fault(at, "ECONNREFUSED");
  const stream = new SocketStream(network.connect(at, nobody), clock);
  assert.is(stream.connecting, true);
  assert.is(stream.readyState, "opening");
  const log: string[] = [];
  stream.on("error", (error: { code?: string }) => log.push(`error ${error.code}`));
  stream.on("close", (hadError: boolean) => log.push(`close ${hadError}`));
  await clock.settle();
  await settle();
  assert.equal(log, ["error ECONNREFUSED", "close true"]);
});

test("a reset is an error and a close", async () => {
  const { clock, stream, peer, log } = await open();
  text(stream);
  peer.reset();
  await clock.settle();
  await settle();
  assert.equal(log.slice(2), ["error ECONNRESET", "close true"]);
  assert.is(stream.readyState, "closed");
});

test("destroy() closes the Socket, with the very error given", async () => {
  const { clock, stream, log, socket, network } = await open();
  let told: unknown;
  stream.on("error", (error) => told = error);
  const reason = Object.assign(new Error("enough"), { code: "MINE" });
  stream.destroy(reason);
  assert.is(socket.destroyed, true);
  await clock.settle();
  await settle();
  assert.is(told, reason);
  assert.equal(log.slice(2), ["error MINE", "close true"]);
  assert.is(network.sockets.size, 0);
});

test("destroy() without an error is a close alone", async () => {
  const { clock, stream, log, network } = await open();
  stream.write("unsent");
  stream.destroy();
  await clock.settle();
  await settle();
  assert.equal(log.slice(2), ["close false"]);
  assert.is(network.sockets.size, 0);
});

test("setTimeout() only emits, after inactivity in both directions", async () => {
  const { clock, stream, peer, log } = await open();
  text(stream);
  const calls: number[] = [];
  assert.is(stream.setTimeout(100, () => calls.push(clock.now())), stream);
  assert.is(stream.timeout, 100);
  await clock.advance(60);
  stream.write("x");
  await clock.advance(60);
  peer.send("y");
  await clock.advance(60);
  assert.not.ok(log.includes("timeout"));
  await clock.advance(50);
  assert.is(log.filter((event) => event === "timeout").length, 1);
  assert.is(calls.length, 1);
  assert.is(stream.destroyed, false);
  await clock.advance(300);
  assert.is(log.filter((event) => event === "timeout").length, 1, "once, as net.Socket");
  peer.send("z");
  await clock.advance(101);
  assert.is(log.filter((event) => event === "timeout").length, 2, "and again after the next byte");
  assert.is(calls.length, 1, "the listener was for one time");
  stream.setTimeout(0);
  assert.is(stream.timeout, 0);
  await clock.advance(1000);
  assert.is(log.filter((event) => event === "timeout").length, 2);
  stream.setTimeout(100);
  stream.destroy();
  await clock.advance(1000);
  assert.is(log.filter((event) => event === "timeout").length, 2);
  assert.is(clock.pending, 0, "no timer is left");
});

test("has what Node's client reaches for", async () => {
  const { clock, stream, socket } = await open();
  assert.is(stream.setNoDelay(true), stream);
  assert.is(stream.setKeepAlive(true, 1000), stream);
  assert.is(stream.unref().ref(), stream);
  assert.is(stream.remoteAddress, socket.info?.remoteAddress);
  assert.is(stream.remotePort, 80);
  assert.is(stream.encrypted, undefined);
  assert.is(stream.authorized, undefined);
  assert.is(stream.readyState, "open");
  stream.write("12345");
  assert.is(stream.bytesWritten, 5);
  stream.destroySoon();
  await clock.settle();
  await settle();
  assert.is(stream.destroyed, true);
});

test("corked writes go out in order", async () => {
  const { clock, stream, peer } = await open();
  stream.cork();
  stream.write("a");
  stream.write("b");
  stream.write("c");
  stream.uncork();
  stream.write("d");
  await clock.settle();
  await settle();
  await clock.settle();
  assert.is(peer.received, "abcd");
  stream.destroy();
  await clock.settle();
});

test("fromDuplex() takes the Socket out, duplexOf() hands the same stream out again", async () => {
  const { clock, stream, peer, socket, log } = await open();
  const own = new Recorder();
  assert.is(fromDuplex(stream, own), socket);
  peer.send("for the Socket");
  await clock.settle();
  assert.is(own.text, "for the Socket");
  assert.is(stream.readableLength, 0);
  assert.is(duplexOf(socket), stream);
  const read = text(stream);
  peer.send("for the stream");
  await clock.settle();
  await settle();
  assert.is(read.value, "for the stream");
  assert.is(own.text, "for the Socket");
  fromDuplex(stream, own);
  peer.reset();
  await clock.settle();
  await settle();
  assert.is(own.error?.code, "ECONNRESET");
  assert.equal(log.slice(-2), ["error ECONNRESET", "close true"], "the stream closes with its Socket");
});

test("what nobody read of the stream is told to the Socket's next handler", async () => {
  const { clock, stream, peer, socket } = await open();
  peer.send("unsolicited");
  await clock.settle();
  const own = new Recorder();
  fromDuplex(stream, own);
  assert.equal(own.log, [], "not inside the call");
  await clock.settle();
  assert.is(own.text, "unsolicited");
  peer.send(", and more");
  peer.end();
  await clock.settle();
  assert.is(own.text, "unsolicited, and more");
  assert.is(own.log.at(-1), "end");
  socket.destroy();
  await clock.settle();
  await settle();
});

test("16 MiB each way over the runtime's own sockets arrive whole", async () => {
  const server = await listenTcp((connection) => connection.pipe(connection));
  const socket = createConnect()({ host: "127.0.0.1", port: server.port }, nobody);
  const stream = new SocketStream(socket);
  const size = 16 * 1024 * 1024;
  const body = pattern(5, size);
  const chunks: Uint8Array[] = [];
  stream.on("data", (chunk: Uint8Array) => chunks.push(chunk));
  for (let index = 0; index < size; index += 100_000) {
    if (!stream.write(body.subarray(index, index + 100_000))) {
      await new Promise((resolve) => stream.once("drain", resolve));
    }
  }
  stream.end();
  await new Promise((resolve) => stream.once("close", resolve));
  assert.is(chunks.reduce((sum, chunk) => sum + chunk.length, 0), size);
  assert.is(firstDifference(5, chunks), -1);
  await server.close();
});

/** Node's own HTTP server: answers with the path, echoes after an upgrade. */
async function usingHttpServer(body: (port: number) => Promise<void>): Promise<void> {
  const server = http.createServer((request, response) => {
    const answer = `answer to ${request.url}`;
    response.writeHead(200, { "content-length": answer.length });
    response.end(answer);
  });
  server.on("upgrade", (_request, connection, head) => {
    connection.on("error", () => {});
    connection.write("HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\nhead:");
    if (head.length > 0) connection.write(head);
    connection.pipe(connection);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  try {
    await body((server.address() as AddressInfo).port);
  } finally {
    await new Promise((resolve) => server.close(resolve));
  }
}

/** The runtime's own http.request over `stream`, with an agent that is none of ours. */
function foreign(stream: Duplex, options: http.RequestOptions): http.ClientRequest {
  const agent = {
    keepAlive: true,
    maxSockets: Infinity,
    options: {},
    defaultPort: 80,
    protocol: "http:",
    addRequest: (request: { onSocket(socket: Duplex): void }) => request.onSocket(stream),
  };
  return http.request({ host: "127.0.0.1", ...options, agent: agent as unknown as http.Agent });
}

async function foreignAnswer(stream: Duplex, path: string): Promise<string> {
  const free = new Promise((resolve) => stream.once("free", resolve));
  const request = foreign(stream, { path });
  const response = await new Promise<http.IncomingMessage>((resolve, reject) => {
    request.once("response", resolve);
    request.once("error", reject);
    request.end();
  });
  let answer = "";
  for await (const chunk of response) answer += chunk;
  await free;
  return answer;
}

async function ownAnswer(socket: Socket, seen: Recorder, path: string): Promise<string> {
  seen.chunks.length = 0;
  socket.write(bytes(`GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`));
  await seen.untilText(`answer to ${path}`);
  return seen.text.slice(seen.text.indexOf("answer"));
}

/** A way to make a Socket, and one to hand out its stream each time. */
const kinds: Readonly<Record<string, [Connect, () => (socket: Socket) => Duplex]>> = {
  "the adapter's own stream": [connectNode, () => (socket) => duplexOf(socket)],
  "a SocketStream": [createConnect(), () => {
    let stream: SocketStream | undefined;
    return (socket) => {
      stream ??= new SocketStream(socket);
      stream.attach();
      return stream;
    };
  }],
};
for (const [name, [connect, handingOut]] of Object.entries(kinds)) {
  test(`own and foreign requests take turns on one connection, then an upgrade: ${name}`, () =>
    usingHttpServer(async (port) => {
      const seen = new Recorder();
      const socket = connect({ host: "127.0.0.1", port }, seen);
      await seen.opened;
      const streamOf = handingOut();
      const stream = streamOf(socket);
      for (let round = 0; round < 2; round++) {
        fromDuplex(stream, seen);
        assert.is(await ownAnswer(socket, seen, `/own/${round}`), `answer to /own/${round}`);
        assert.is(streamOf(socket), stream);
        assert.is(await foreignAnswer(stream, `/foreign/${round}`), `answer to /foreign/${round}`);
      }
      const request = foreign(stream, { path: "/", headers: { connection: "upgrade", upgrade: "echo" } });
      const echoed = await new Promise<string>((resolve, reject) => {
        request.once("error", reject);
        request.once("upgrade", (_response, upgraded: Duplex, head: Uint8Array) => {
          assert.is(upgraded, stream);
          let received = new TextDecoder().decode(head);
          upgraded.on("data", (chunk: Uint8Array) => {
            received += new TextDecoder().decode(chunk);
            if (received.endsWith("over")) resolve(received);
          });
          upgraded.write("over");
        });
        request.end();
      });
      assert.is(echoed, "head:over");
      const closed = new Promise((resolve) => stream.once("close", resolve));
      stream.destroy();
      await closed;
      await settle();
      assert.is(socket.destroyed, true);
    }));
}

test.run();
