import * as net from "node:net";
import { Duplex, PassThrough } from "node:stream";
import * as tls from "node:tls";
import * as assert from "uvu/assert";
import { bindDuplex, connectNode, fromDuplex, lendDuplex } from "../../src/runtime/node.ts";
import type { Socket, SocketHandler } from "../../src/runtime/socket.ts";
import { ca, good } from "../certs/certs.ts";
import { suite } from "../harness/suite.ts";
import { bytes, firstDifference, listenTcp, listenTls, pattern, Recorder, settle } from "./node_harness.ts";

const test = suite("fromDuplex and lendDuplex");

/** Two Duplexes; what is written into one is read from the other. */
function duplexPair(): [Duplex, Duplex] {
  const make = (): { duplex: Duplex; link: { other?: Duplex } } => {
    const link: { other?: Duplex; next?: () => void } = {};
    const duplex = new Duplex({
      allowHalfOpen: true,
      read: (): void => {
        const next = link.next;
        delete link.next;
        next?.();
      },
      write: (chunk, _encoding, done): void => {
        if (link.other!.push(chunk)) done();
        else (links.get(link.other!)!).next = done;
      },
      final: (done): void => {
        link.other!.push(null);
        done();
      },
    });
    links.set(duplex, link);
    return { duplex, link };
  };
  const links = new Map<Duplex, { next?: () => void }>();
  const left = make();
  const right = make();
  left.link.other = right.duplex;
  right.link.other = left.duplex;
  return [left.duplex, right.duplex];
}

test("any Duplex is a Socket: opens, exchanges, ends", async () => {
  const [near, far] = duplexPair();
  far.pipe(far);
  const seen = new Recorder();
  const socket = fromDuplex(near, seen);
  assert.equal(seen.log, [], "not inside the call");
  assert.is(socket.connecting, true);
  socket.write(bytes("early "));
  await seen.opened;
  assert.is(socket.info?.adapter, "node");
  socket.write(bytes("late"));
  await seen.untilText("early late");
  // What net.Socket alone has does nothing here, and throws nothing.
  socket.ref?.();
  socket.unref?.();
  socket.setNoDelay?.(true);
  socket.setKeepAlive?.(true, 1);
  socket.end();
  await seen.closed;
  assert.is(seen.error, undefined);
  assert.equal(seen.log.slice(-2), ["end", "close"]);
});

test("pieces that follow one another are one write, but for what is large", async () => {
  const writes: number[][] = [];
  const stream = new Duplex({
    read(): void {},
    write(chunk, _encoding, done): void {
      writes.push([chunk.length]);
      done();
    },
    writev(chunks, done): void {
      writes.push(chunks.map(({ chunk }) => chunk.length));
      done();
    },
  });
  const seen = new Recorder();
  const socket = fromDuplex(stream, seen);
  await seen.opened;
  const large = new Uint8Array(2 * 1024 * 1024);
  socket.write(bytes("head"), true);
  socket.write(bytes("small"), false);
  socket.write(bytes("head"), true);
  socket.write(large, true);
  socket.write(bytes("next"), true);
  socket.write(bytes("last"), false);
  assert.equal(writes, [[4, 5], [4], [large.length], [4, 4]]);
  socket.destroy();
  await seen.closed;
});

test("what the stream held before is told, and its end", async () => {
  const stream = new PassThrough();
  stream.end("before");
  await settle();
  const seen = new Recorder();
  const socket = fromDuplex(stream, seen);
  await seen.ended;
  assert.is(seen.text, "before");
  socket.end();
  socket.destroy();
  await seen.closed;
});

test("a stream that has closed already is one close with an error", async () => {
  const stream = new PassThrough();
  stream.destroy();
  await settle();
  const seen = new Recorder();
  fromDuplex(stream, seen);
  assert.is((await seen.closed)?.code, "ERR_STREAM_PREMATURE_CLOSE");
  await settle();
  assert.equal(seen.log, ["close ERR_STREAM_PREMATURE_CLOSE"]);
});

test("a stream that fails, or is destroyed by its maker, is one close with an error", async () => {
  for (const error of [Object.assign(new Error("broken"), { code: "EIO" }), undefined]) {
    const stream = new PassThrough();
    const seen = new Recorder();
    fromDuplex(stream, seen);
    await seen.opened;
    stream.destroy(error);
    await seen.closed;
    assert.equal(seen.log, ["open", `close ${error?.code ?? "ERR_STREAM_PREMATURE_CLOSE"}`]);
    assert.is(seen.error?.phase, "open");
  }
});

test("pause is exact and holds the other side back", async () => {
  const [near, far] = duplexPair();
  const seen = new Recorder();
  const socket = fromDuplex(near, seen);
  await seen.opened;
  const size = 1_000_000;
  const body = pattern(3, size);
  for (let index = 0; index < size; index += 10_000) far.write(body.subarray(index, index + 10_000));
  far.end();
  let paused = 0;
  seen.dataHook = (): void => {
    socket.pause();
    const count = seen.chunks.length;
    setTimeout(() => {
      assert.is(seen.chunks.length, count);
      paused++;
      socket.resume();
    }, 1);
  };
  assert.ok(far.writableLength > 0);
  await seen.ended;
  assert.ok(paused > 1);
  assert.is(seen.length, size);
  assert.is(firstDifference(3, seen.chunks), -1);
  socket.destroy();
  await seen.closed;
});

test("write() asks to wait, and onDrain follows", async () => {
  const [near, far] = duplexPair();
  const seen = new Recorder();
  const socket = fromDuplex(near, seen);
  await seen.opened;
  assert.is(socket.write(new Uint8Array(200_000)), false);
  assert.is(socket.pendingBytes, 200_000);
  far.resume();
  await seen.until(() => seen.log.includes("drain"));
  assert.is(socket.pendingBytes, 0);
  socket.destroy();
  await seen.closed;
});

test("a net.Socket that is connecting, one that is open, one that is refused", async () => {
  const server = await listenTcp((connection) => connection.pipe(connection));
  for (const wait of [false, true]) {
    const stream = net.connect({ host: "127.0.0.1", port: server.port, allowHalfOpen: true });
    if (wait) await new Promise((resolve) => stream.once("connect", resolve));
    const seen = new Recorder();
    const socket = fromDuplex(stream, seen);
    socket.write(bytes("hello"));
    await seen.untilText("hello");
    assert.is(socket.info?.remotePort, server.port);
    assert.is(seen.log[0], "open");
    socket.end();
    await seen.closed;
    assert.is(seen.error, undefined);
  }
  await server.close();
  const seen = new Recorder();
  fromDuplex(net.connect({ host: "127.0.0.1", port: server.port }), seen);
  await seen.closed;
  assert.equal(seen.log, ["close ECONNREFUSED"]);
  assert.is(seen.error?.phase, "connect");
});

test("a net.Socket that connects by being written to, as mocks are, opens without a 'connect'", async () => {
  class Mock extends net.Socket {
    override connecting = true;

    override write(chunk: Uint8Array): boolean {
      if (this.connecting) {
        this.connecting = false;
        this.emit("connect");
      }
      return this.push(chunk);
    }
  }
  const seen = new Recorder();
  const socket = fromDuplex(new Mock(), seen);
  assert.equal(seen.log, [], "not inside the call");
  await seen.opened;
  socket.write(bytes("hello"));
  await seen.untilText("hello");
  assert.equal(seen.log.filter((line) => line === "open"), ["open"]);
  socket.destroy();
  await seen.closed;
});

test("a TLSSocket opens when its handshake is done, whenever it is given", async () => {
  const server = await listenTls(good, (connection) => connection.pipe(connection));
  for (const wait of [false, true]) {
    const stream = tls.connect({ host: "127.0.0.1", port: server.port, servername: "localhost", ca });
    if (wait) await new Promise((resolve) => stream.once("secureConnect", resolve));
    const seen = new Recorder();
    const socket = fromDuplex(stream, seen);
    socket.write(bytes("hello"));
    await seen.untilText("hello");
    assert.is(socket.info?.tls?.authorized, true);
    socket.destroy();
    await seen.closed;
  }
  const refused = new Recorder();
  fromDuplex(tls.connect({ host: "127.0.0.1", port: server.port, servername: "elsewhere.test", ca }), refused)
    .write(bytes("secret"));
  await refused.closed;
  assert.equal(refused.log, ["close ERR_TLS_CERT_ALTNAME_INVALID"]);
  await server.close();
});

test("a TLSSocket's contents and end come whole, paused or not", async () => {
  const size = 2_000_000;
  const server = await listenTls(good, (connection) => connection.end(pattern(4, size)));
  for (const pauses of [false, true]) {
    const seen = new Recorder();
    const socket = fromDuplex(
      tls.connect({ host: "127.0.0.1", port: server.port, servername: "localhost", ca }),
      seen,
    );
    seen.dataHook = (): void => {
      if (!pauses || seen.chunks.length % 5 !== 0) return;
      socket.pause();
      const count = seen.chunks.length;
      setTimeout(() => {
        assert.is(seen.chunks.length, count);
        socket.resume();
      }, 2);
    };
    await seen.ended;
    assert.is(seen.length, size);
    assert.is(firstDifference(4, seen.chunks), -1);
    socket.destroy();
    await seen.closed;
  }
  await server.close();
});

test("bindDuplex() makes a stream stand for a Socket, once", async () => {
  const [near] = duplexPair();
  const seen = new Recorder();
  const socket = fromDuplex(near, seen);
  const stream = new PassThrough();
  const given: SocketHandler[] = [];
  bindDuplex(stream, (handler) => {
    given.push(handler);
    return socket;
  });
  const other = new Recorder();
  assert.is(fromDuplex(stream, other), socket);
  assert.equal(given, [other]);
  const again = fromDuplex(stream, other);
  assert.is.not(again, socket);
  again.destroy();
  socket.destroy();
  await Promise.all([seen.closed, other.closed]);
});

for (const kind of ["tcp", "tls"] as const) {
  /** A connection to a server that answers each chunk with it, and the peer's end. */
  const connected = async (): Promise<
    { socket: Socket; seen: Recorder; peer: net.Socket; close: () => Promise<void> }
  > => {
    let found: (peer: net.Socket) => void = () => {};
    const peers = new Promise<net.Socket>((resolve) => found = resolve);
    const server = kind === "tcp" ? await listenTcp(found) : await listenTls(good, found);
    const seen = new Recorder();
    const where = { host: "127.0.0.1", port: server.port };
    const socket = connectNode(kind === "tcp" ? where : { ...where, tls: { ca } }, seen);
    await seen.opened;
    return { socket, seen, peer: await peers, close: () => server.close() };
  };

  test(`${kind}: a lent stream reads and writes as a stream, and comes back`, async () => {
    const { socket, seen, peer, close } = await connected();
    peer.write("own ");
    await seen.untilText("own ");
    for (let round = 0; round < 3; round++) {
      const stream = lendDuplex(socket)!;
      assert.ok(stream instanceof net.Socket);
      assert.is(lendDuplex(socket), stream, "the same one");
      let read = "";
      const onData = (chunk: unknown): void => {
        assert.instance(chunk, Uint8Array);
        read += new TextDecoder().decode(chunk as Uint8Array);
      };
      stream.on("data", onData);
      stream.write("?");
      peer.write(`lent${round}`);
      while (!read.endsWith(`${round}`)) await settle(1);
      assert.is(read, `lent${round}`);
      stream.off("data", onData);
      assert.is(fromDuplex(stream, seen), socket);
      peer.write(`own${round}`);
      await seen.untilText(`own${round}`);
      assert.not.ok(seen.text.includes("lent"));
    }
    socket.destroy();
    await seen.closed;
    await close();
  });

  test(`${kind}: a lent stream holds the peer back, and goes on where it stopped`, async () => {
    const { socket, seen, peer, close } = await connected();
    const stream = lendDuplex(socket)!;
    const size = 1_500_000;
    const chunks: Uint8Array[] = [];
    let count = 0;
    stream.on("data", (chunk: Uint8Array) => {
      chunks.push(chunk);
      if (++count % 4 !== 0) return;
      stream.pause();
      setTimeout(() => stream.resume(), 1);
    });
    peer.write(pattern(9, size));
    const length = (): number => chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    for (let round = 0; round < 3000 && length() < size; round++) await settle(1);
    assert.is(length(), size);
    assert.is(firstDifference(9, chunks), -1, "copies, not the shared buffer");
    stream.destroy();
    await seen.closed;
    assert.equal(seen.log.filter((event) => event !== "drain"), ["open", "close"]);
    await close();
  });

  test(`${kind}: what its user left unread is told to the next handler, not inside the call`, async () => {
    const { socket, seen, peer, close } = await connected();
    const stream = lendDuplex(socket)!;
    peer.write("unsolicited");
    await settle(30);
    const next = new Recorder();
    fromDuplex(stream, next);
    assert.equal(next.log, []);
    await next.untilText("unsolicited");
    peer.end("more");
    await next.ended;
    assert.is(next.text, "unsolicitedmore");
    socket.destroy();
    await next.closed;
    assert.not.ok(seen.log.includes("close"));
    await close();
  });

  test(`${kind}: while lent the peer's end ends the stream, and the handler is told the close alone`, async () => {
    const { socket, seen, peer, close } = await connected();
    const stream = lendDuplex(socket)!;
    const events: string[] = [];
    for (const event of ["end", "finish", "close"]) stream.on(event, () => events.push(event));
    stream.resume();
    peer.end();
    await seen.closed;
    assert.ok(events.includes("end"), events.join());
    assert.equal(seen.log.filter((event) => event !== "drain"), ["open", "close"]);
    assert.throws(() => lendDuplex(socket), (error: { code?: string }) => error.code === "ERR_INVALID_STATE");
    await close();
  });

  test(`${kind}: an error of a lent stream is the stream's and the close's`, async () => {
    const { socket, seen, close } = await connected();
    const stream = lendDuplex(socket)!;
    let told: unknown;
    stream.on("error", (error) => told = error);
    const reason = Object.assign(new Error("user"), { code: "MINE" });
    stream.destroy(reason);
    await seen.closed;
    assert.is(told, reason);
    assert.is(seen.error?.cause, reason);
    await close();
  });
}

test("lendDuplex() has no stream for another adapter's Socket", () => {
  assert.is(lendDuplex({} as Socket), undefined);
});

test("lendDuplex() throws before the socket is open", async () => {
  const server = await listenTcp();
  const seen = new Recorder();
  const socket = connectNode({ host: "127.0.0.1", port: server.port }, seen);
  assert.throws(() => lendDuplex(socket), (error: { code?: string }) => error.code === "ERR_INVALID_STATE");
  socket.destroy();
  await seen.closed;
  await server.close();
});

test.run();
