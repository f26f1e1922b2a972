import { setImmediate } from "node:timers";
import * as assert from "uvu/assert";
import { createDenoConnect } from "../../src/runtime/deno.ts";
import type { DenoLike } from "../../src/runtime/deno.ts";
import {
  FRONT_BYTES,
  FRONT_TURNS,
  JOINED_BYTES,
  LARGE_BYTES,
  UPLOAD_BYTES,
} from "../../src/runtime/deno_buffers.ts";
import type { DenoConnLike, DenoTcpConnLike, DenoTlsConnLike } from "../../src/runtime/deno_like.ts";
import { denoError } from "../../src/runtime/errors.ts";
import type { ConnectOptions, Socket } from "../../src/runtime/socket.ts";
import { suite } from "../harness/suite.ts";
import { assertUnsupported, bytes, Recorder } from "./node_harness.ts";

// The traps of TRAPS.md that are Deno's, on a Deno that does as it is told: here each order of events can be had at
// will, on every runtime. The conformance suite runs over the real one.
const test = suite("runtime/deno");

interface Call<Result> {
  readonly bytes: Uint8Array;
  readonly resolve: (result: Result) => void;
  readonly reject: (error: unknown) => void;
}

class FakeConn implements DenoTcpConnLike, DenoTlsConnLike {
  readonly localAddr = { transport: "tcp", hostname: "127.0.0.1", port: 50_000 };
  readonly remoteAddr = { transport: "tcp", hostname: "127.0.0.1", port: 80 };
  readonly reads: Call<number | null>[] = [];
  readonly writes: Call<number>[] = [];
  readonly log: string[];
  #handshaken!: { resolve(info: { alpnProtocol: string | null }): void; reject(error: unknown): void };

  constructor(log: string[]) {
    this.log = log;
  }

  read(buffer: Uint8Array): Promise<number | null> {
    assert.is(this.reads.length, 0, "two reads at once");
    this.log.push(`read ${buffer.length}`);
    return new Promise((resolve, reject) => this.reads.push({ bytes: buffer, resolve, reject }));
  }

  write(chunk: Uint8Array): Promise<number> {
    assert.is(this.writes.length, 0, "two writes at once");
    this.log.push(`write ${text(chunk)}`);
    return new Promise((resolve, reject) => this.writes.push({ bytes: chunk, resolve, reject }));
  }

  handshake(): Promise<{ alpnProtocol: string | null }> {
    this.log.push("handshake");
    return new Promise((resolve, reject) => this.#handshaken = { resolve, reject });
  }

  closeWrite(): Promise<void> {
    this.log.push("closeWrite");
    return Promise.resolve();
  }

  close(): void {
    this.log.push("close");
    this.reads.shift()?.reject(named("Interrupted", "operation canceled"));
  }

  setNoDelay(on?: boolean): void {
    this.log.push(`noDelay ${on}`);
  }

  setKeepAlive(on?: boolean): void {
    this.log.push(`keepAlive ${on}`);
  }

  ref(): void {
    this.log.push("ref");
  }

  unref(): void {
    this.log.push("unref");
  }

  /** The peer sends. */
  async give(chunk: Uint8Array): Promise<void> {
    const { bytes, resolve } = this.reads.shift()!;
    bytes.set(chunk);
    resolve(chunk.length);
    await settled();
  }

  async end(): Promise<void> {
    this.reads.shift()!.resolve(null);
    await settled();
  }

  async failRead(error: unknown): Promise<void> {
    this.reads.shift()!.reject(error);
    await settled();
  }

  async take(count: number): Promise<void> {
    this.writes.shift()!.resolve(count);
    await settled();
  }

  async failWrite(error: unknown): Promise<void> {
    this.writes.shift()!.reject(error);
    await settled();
  }

  async finishHandshake(result: string | null | Error): Promise<void> {
    if (result instanceof Error) this.#handshaken.reject(result);
    else this.#handshaken.resolve({ alpnProtocol: result });
    await settled();
  }
}

/** A Deno whose connects wait to be answered. */
class FakeDeno implements DenoLike {
  readonly log: string[] = [];
  readonly connects: { options: { signal?: AbortSignal; path?: string }; resolve(conn: FakeConn): void }[] =
    [];
  readonly tlsOptions: unknown[] = [];

  connect(options: { port: number; signal?: AbortSignal }): Promise<DenoTcpConnLike>;
  connect(options: { transport: "unix"; path: string }): Promise<DenoConnLike>;
  connect(options: object): Promise<DenoTcpConnLike> {
    return new Promise((resolve, reject) => {
      this.connects.push({ options, resolve });
      const { signal } = options as { signal?: AbortSignal };
      signal?.addEventListener("abort", () => {
        this.log.push("abort");
        reject(signal.reason);
      });
    });
  }

  startTls(conn: never, options?: unknown): Promise<DenoTlsConnLike> {
    assert.is((conn as FakeConn).reads.length, 0, "startTls with a read pending: the connection is gone");
    this.log.push("startTls");
    this.tlsOptions.push(options);
    return Promise.resolve(new FakeConn(this.log));
  }
}

interface World {
  readonly deno: FakeDeno;
  readonly log: string[];
  readonly seen: Recorder;
  readonly socket: Socket;
  readonly conn: FakeConn;
}

function connecting(options: ConnectOptions = {}, seen = new Recorder()): Omit<World, "conn"> {
  const deno = new FakeDeno();
  const socket = createDenoConnect(deno)({ host: "peer.test", port: 80, ...options }, seen);
  return { deno, log: deno.log, seen, socket };
}

async function opened(options: ConnectOptions = {}): Promise<World> {
  const world = connecting(options);
  const conn = new FakeConn(world.log);
  world.deno.connects[0]!.resolve(conn);
  await settled();
  return { ...world, conn };
}

/** The same over TLS, its handshake done; `conn` is what is inside. */
async function openedTls(): Promise<World> {
  const world = connecting({ tls: {} });
  const { deno } = world;
  deno.connects[0]!.resolve(new FakeConn(world.log));
  let secured: FakeConn | undefined;
  const { startTls } = deno;
  deno.startTls = async (conn, options) => secured = await startTls.call(deno, conn, options) as FakeConn;
  await settled();
  await secured!.finishHandshake(null);
  return { ...world, conn: secured! };
}

/** What is due among promises has run. */
async function settled(): Promise<void> {
  for (let turn = 0; turn < 20; turn++) await Promise.resolve();
}

/** So many turns of the event loop have passed. */
async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise<void>((resolve) => setImmediate(resolve));
}

function named(name: string, message: string, code?: string): Error {
  return Object.assign(new Error(message), { name }, code === undefined ? {} : { code });
}

function text(chunk: Uint8Array): string {
  return chunk.length > 40 ? `${chunk.length} bytes` : String.fromCharCode(...chunk);
}

/** Bytes that tell their place. */
function counted(length: number): Uint8Array {
  return Uint8Array.from({ length }, (_, at) => (at * 2_654_435_761) >>> 13);
}

const reset = named("ConnectionReset", "Connection reset by peer (os error 104)", "ECONNRESET");

test("trap 2: destroy() aborts the connect; one that opens all the same is closed", async () => {
  for (const late of [false, true]) {
    const { deno, log, seen, socket } = connecting();
    const [{ options, resolve }] = deno.connects as [typeof deno.connects[0]];
    if (late) resolve(new FakeConn(log));
    socket.destroy();
    socket.destroy();
    assert.equal(seen.log, []);
    await settled();
    assert.is(options.signal?.aborted, true);
    assert.equal(log, late ? ["abort", "close"] : ["abort"]);
    assert.equal(seen.log, ["close"]);
    assert.is(socket.connecting, false);
  }
});

test("an aborted connect that has succeeded is not dropped: its signal does not throw", () => {
  const { deno, socket } = connecting();
  socket.destroy();
  assert.not.throws(() => deno.connects[0]!.options.signal!.throwIfAborted());
});

test("trap 6: the first error counts, and no read follows that would say null", async () => {
  const { conn, seen, log } = await opened();
  await conn.failRead(reset);
  assert.equal(seen.log, ["open", "close ECONNRESET"]);
  assert.is(seen.error!.syscall, "read");
  assert.is(seen.error!.cause, reset);
  assert.equal(log.filter((line) => line.startsWith("read")).length, 1);
});

test("trap 6: after a failed write what the peer had sent is read, and null is no end", async () => {
  const { conn, seen, socket } = await opened();
  socket.write(bytes("upload"));
  await conn.failWrite(named("BrokenPipe", "Broken pipe (os error 32)", "EPIPE"));
  assert.equal(seen.log, ["open"]);
  assert.is(socket.destroyed, true);
  assert.is(socket.write(bytes("more")), false);
  await conn.give(bytes("413"));
  await conn.end();
  assert.equal(seen.log, ["open", "data 3", "close EPIPE"]);
});

test("a failed write of a paused socket is told at once: who paused may be waiting for onDrain", async () => {
  const { conn, seen, socket } = await opened();
  socket.pause();
  socket.write(bytes("upload"));
  await conn.failWrite(reset);
  assert.equal(seen.log, ["open", "close ECONNRESET"]);
});

test("trap 9: one write at a time; the rest of a partial one goes first, and what came meanwhile after it, joined", async () => {
  const { conn, socket, seen, log } = await opened();
  log.length = 0;
  socket.write(bytes("abcdef"));
  socket.write(bytes("gh"));
  socket.write(bytes("ij"));
  assert.is(socket.pendingBytes, 10);
  await conn.take(2);
  await conn.take(3);
  assert.is(socket.pendingBytes, 5);
  await conn.take(1);
  assert.equal(log, ["write abcdef", "write cdef", "write f", "write ghij"]);
  assert.equal(seen.log, ["open"]);
  await conn.take(4);
  assert.equal(seen.log, ["open", "drain"]);
  assert.is(socket.pendingBytes, 0);
  socket.destroy();
  await seen.closed;
});

test("trap 9: onDrain may write and end while the write loop is on the stack", async () => {
  const { conn, socket, seen, log } = await opened();
  log.length = 0;
  let drains = 0;
  const note = seen.onDrain.bind(seen);
  seen.onDrain = (): void => {
    note();
    if (drains++ > 0) return;
    socket.write(bytes("second"));
    socket.end();
  };
  socket.write(bytes("first"));
  await conn.take(5);
  await conn.take(6);
  assert.equal(log, ["write first", "write second", "closeWrite"]);
  assert.is(drains, 2);
  await conn.end();
  assert.equal(seen.log, ["open", "drain", "drain", "end", "close"]);
});

test("a chunk with `more` waits for the next one and is joined to it; alone it goes at the end of the turn", async () => {
  const { conn, socket, seen, log } = await opened();
  log.length = 0;
  socket.write(bytes("head "), true);
  assert.equal(log, []);
  socket.write(bytes("body"));
  assert.equal(log, ["write head body"]);
  await conn.take(9);
  socket.write(bytes("alone"), true);
  await settled();
  assert.equal(log, ["write head body", "write alone"]);
  socket.destroy();
  await seen.closed;
});

test("the buffer that chunks are joined in is used again once it is written, and not before", async () => {
  const { conn, socket, seen } = await opened();
  const joinedWrite = async (): Promise<ArrayBufferLike> => {
    socket.write(bytes("a"), true);
    socket.write(bytes("b"));
    const { buffer } = conn.writes[0]!.bytes;
    await conn.take(1);
    assert.is(conn.writes[0]!.bytes.buffer, buffer, "the rest of a partial write");
    const other = await opened();
    other.socket.write(bytes("c"), true);
    other.socket.write(bytes("d"));
    assert.is.not(other.conn.writes[0]!.bytes.buffer, buffer, "another socket meanwhile");
    other.socket.destroy();
    await conn.take(1);
    return buffer;
  };
  assert.is(await joinedWrite(), await joinedWrite());
  socket.destroy();
  await seen.closed;
});

test("pieces of an upload that are written in one turn go together, and wait for no more than is joined", async () => {
  const { conn, socket, seen, log } = await opened();
  log.length = 0;
  socket.write(bytes("head"));
  await conn.take(4);
  socket.write(bytes("a"));
  await conn.take(1);
  socket.write(bytes("b"));
  socket.write(bytes("c"));
  assert.equal(log, ["write head", "write a"]);
  await turns(1);
  assert.equal(log, ["write head", "write a", "write bc"]);
  await conn.take(2);
  const large = new Uint8Array(JOINED_BYTES - 1);
  socket.write(large);
  assert.is(conn.writes.length, 0);
  socket.write(bytes("de"));
  assert.is(conn.writes[0]!.bytes, large);
  await conn.take(large.length);
  assert.is(conn.writes.length, 0);
  socket.end();
  assert.equal(log.slice(4), ["write de"]);
  await conn.take(2);
  assert.equal(log.slice(5), ["closeWrite"]);
  socket.destroy();
  await seen.closed;
});

test("a piece behind an answer waits for nothing", async () => {
  const { conn, socket, seen, log } = await opened();
  for (let round = 0; round < 3; round++) {
    log.length = 0;
    socket.write(bytes("request"));
    assert.equal(log, ["write request"]);
    await conn.take(7);
    await conn.give(bytes("answer"));
  }
  socket.destroy();
  await seen.closed;
});

test("a large chunk is not copied to be joined", async () => {
  const { conn, socket, seen } = await opened();
  const large = new Uint8Array(JOINED_BYTES);
  socket.write(bytes("x"), true);
  socket.write(large);
  assert.is(conn.writes[0]!.bytes.length, 1);
  await conn.take(1);
  assert.is(conn.writes[0]!.bytes, large);
  socket.destroy();
  await seen.closed;
});

test("trap 10: no-delay is set before TLS begins, where it still can be, and always", async () => {
  const { log } = await opened({ tls: {} });
  assert.equal(log, ["noDelay true", "startTls", "handshake"]);
  assert.equal((await opened({ noDelay: false })).log[0], "noDelay false");
});

test("options of an open socket are not lost while it connects", async () => {
  const { deno, log, socket } = connecting({ keepAlive: true });
  socket.setNoDelay!(false);
  socket.setKeepAlive!(false, 1000);
  socket.unref!();
  deno.connects[0]!.resolve(new FakeConn(log));
  await settled();
  assert.equal(log, ["unref", "noDelay false", "read 1024"]);
});

test("a connection's first upload writes its head and little more, and turns of the loop later the rest as it is", async () => {
  const { conn, socket, seen } = await opened();
  const upload = counted(UPLOAD_BYTES);
  const begin = (): void => {
    socket.write(bytes("head"), true);
    socket.write(upload);
    socket.write(bytes("tail"), true);
  };
  begin();
  const front = conn.writes[0]!.bytes;
  assert.is(front.length, FRONT_BYTES);
  assert.is(text(front.subarray(0, 4)), "head");
  assert.equal(front.subarray(4), upload.subarray(0, FRONT_BYTES - 4));
  await conn.take(10);
  assert.is(conn.writes[0]!.bytes.buffer, front.buffer, "the rest of a partial write");
  await conn.take(FRONT_BYTES - 10);
  socket.write(bytes("end"));
  await turns(FRONT_TURNS - 1);
  assert.is(conn.writes.length, 0);
  assert.is(socket.pendingBytes, UPLOAD_BYTES + 4 - FRONT_BYTES + 7);
  await turns(1);
  const rest = conn.writes[0]!.bytes;
  assert.is(rest.buffer, upload.buffer);
  assert.is(rest.byteOffset, FRONT_BYTES - 4);
  await conn.take(rest.length);
  assert.is(text(conn.writes[0]!.bytes), "tailend");
  await conn.take(7);
  assert.is(socket.pendingBytes, 0);

  await conn.give(bytes("answer"));
  await turns(1);
  begin();
  for (const expected of ["head", `${UPLOAD_BYTES} bytes`, "tail"]) {
    const written = conn.writes[0]!.bytes;
    assert.is(text(written), expected);
    if (written.length === UPLOAD_BYTES) assert.is(written, upload);
    await conn.take(written.length);
  }
  assert.equal(seen.log, ["open", "drain", "data 6", "drain"]);
  socket.destroy();
  await seen.closed;
});

test("what is written while the socket connects goes the same way, and what ends it comes last", async () => {
  const { deno, log, seen, socket } = connecting();
  socket.write(bytes("head"), true);
  socket.write(new Uint8Array(UPLOAD_BYTES));
  socket.end();
  const conn = new FakeConn(log);
  deno.connects[0]!.resolve(conn);
  await settled();
  assert.is(conn.writes[0]!.bytes.length, FRONT_BYTES);
  await conn.take(FRONT_BYTES);
  await turns(FRONT_TURNS);
  assert.is(conn.writes[0]!.bytes.length, UPLOAD_BYTES + 4 - FRONT_BYTES);
  assert.not(log.includes("closeWrite"));
  await conn.take(UPLOAD_BYTES + 4 - FRONT_BYTES);
  assert.is(log.at(-1), "closeWrite");
  socket.destroy();
  await seen.closed;
});

test("an upload that onDrain begins waits as long", async () => {
  const { conn, socket, seen } = await opened();
  socket.write(bytes("ask"));
  await conn.give(bytes("answer"));
  seen.onDrain = (): void => {
    seen.onDrain = (): void => {};
    socket.write(bytes("head"), true);
    socket.write(new Uint8Array(UPLOAD_BYTES));
  };
  await conn.take(3);
  await turns(3);
  await conn.take(FRONT_BYTES);
  await turns(FRONT_TURNS - 1);
  assert.is(conn.writes.length, 0);
  await turns(1);
  assert.is(conn.writes.length, 1);
  socket.destroy();
  await seen.closed;
});

test("nothing is written when the socket is destroyed, or has failed, while the rest of an upload waits", async () => {
  for (const end of ["destroy", "read"]) {
    const { conn, socket, seen } = await opened();
    socket.write(bytes("head"), true);
    socket.write(new Uint8Array(UPLOAD_BYTES));
    await conn.take(FRONT_BYTES);
    if (end === "destroy") socket.destroy();
    else await conn.failRead(reset);
    await turns(FRONT_TURNS + 1);
    assert.is(conn.writes.length, 0, end);
    await seen.closed;
    assert.is(seen.error?.code, end === "destroy" ? undefined : "ECONNRESET");
  }
});

test("only a connection's first upload waits: not a piece in the middle of one, nor behind much, nor over TLS", async () => {
  const upload = new Uint8Array(UPLOAD_BYTES);
  const begin = (socket: Socket, before: Uint8Array): void => {
    socket.write(before, true);
    socket.write(upload);
  };
  const later = await opened();
  later.socket.write(bytes("head"));
  await later.conn.take(4);
  begin(later.socket, bytes("chunk"));
  await turns(1);
  assert.is(text(later.conn.writes[0]!.bytes), "chunk");
  await later.conn.take(5);
  assert.is(later.conn.writes[0]!.bytes, upload);

  const much = await opened();
  const before = new Uint8Array(FRONT_BYTES);
  begin(much.socket, before);
  assert.is(much.conn.writes[0]!.bytes, before);
  await much.conn.take(before.length);
  assert.is(much.conn.writes[0]!.bytes, upload);

  const little = await opened();
  little.socket.write(bytes("head"), true);
  little.socket.write(upload.subarray(1));
  await little.conn.take(4);
  assert.is(little.conn.writes[0]!.bytes.length, UPLOAD_BYTES - 1);

  const secured = await openedTls();
  begin(secured.socket, bytes("head"));
  assert.is(text(secured.conn.writes[0]!.bytes), "head");
  for (const one of [later, much, little, secured]) {
    one.socket.destroy();
    await one.seen.closed;
  }
});

test("TLS: nothing is open or written before the handshake has verified the peer", async () => {
  for (
    const verdict of ["http/1.1", named("InvalidData", "invalid peer certificate: UnknownIssuer")] as const
  ) {
    const { deno, log, seen, socket } = connecting({ tls: { ALPNProtocols: ["http/1.1"] } });
    socket.write(bytes("secret"));
    deno.connects[0]!.resolve(new FakeConn(log));
    let secured: FakeConn | undefined;
    const { startTls } = deno;
    deno.startTls = async (conn, options) => secured = await startTls.call(deno, conn, options) as FakeConn;
    await settled();
    assert.equal(deno.tlsOptions, [{ hostname: "peer.test", alpnProtocols: ["http/1.1"] }]);
    assert.equal([seen.log, socket.connecting], [[], true]);
    await secured!.finishHandshake(verdict);
    const isRefused = verdict instanceof Error;
    assert.equal(seen.log, isRefused ? ["close UNABLE_TO_VERIFY_LEAF_SIGNATURE"] : ["open"]);
    assert.is(log.includes("write secret"), !isRefused);
    if (isRefused) assert.is(seen.error!.phase, "tls");
    else assert.equal(socket.info!.tls, { alpnProtocol: "http/1.1", authorized: true });
  }
});

test("TLS: the name verified is servername, else tls.host, else the host", async () => {
  const names = [{}, { host: "a.test" }, { host: "a.test", servername: "b.test" }, { host: "" }].map(
    async (tls) => {
      const { deno } = await opened({ tls });
      return (deno.tlsOptions[0] as { hostname: string }).hostname;
    },
  );
  assert.equal(await Promise.all(names), ["peer.test", "a.test", "b.test", "peer.test"]);
});

test("trap 14: TLS over an open socket begins with no read pending, or not at all", async () => {
  const { conn, deno, seen, socket, log } = await opened();
  assert.throws(
    () => socket.startTls!({ host: "peer.test" }, new Recorder()),
    (error: { code?: string }) => error.code === "ERR_INVALID_STATE",
  );
  seen.dataHook = () => socket.pause();
  await conn.give(bytes("HTTP/1.1 200 OK"));
  const secured = socket.startTls!({ host: "origin.test" }, new Recorder());
  assert.is(socket.destroyed, true);
  assert.is(secured.connecting, true);
  socket.resume();
  await settled();
  assert.equal(deno.tlsOptions, [{ hostname: "origin.test" }]);
  assert.equal(log.filter((line) => line.startsWith("read")).length, 1);
  assert.equal(seen.log, ["open", "data 15"]);
  secured.destroy();
  await settled();
  assert.equal(seen.log, ["open", "data 15"]);
});

test("trap 16: what Deno would ignore without a word is refused before it dials", () => {
  const refused: [ConnectOptions, string][] = [
    [{ localAddress: "127.0.0.1" }, "localAddress"],
    [{ family: 4 }, "family"],
    [{ lookup: () => {} }, "lookup"],
    [{ tls: { ca: "x" } }, "tls.ca"],
    [{ tls: { cert: "x" } }, "tls.cert"],
    [{ tls: { rejectUnauthorized: false } }, "tls.rejectUnauthorized"],
    [{ tls: { servername: "" } }, "tls.servername"],
    [{ path: "/run/x", tls: {} }, "path"],
  ];
  for (const [options, name] of refused) assertUnsupported(() => connecting(options), name);
});

test("trap 17: the end of TLS without close_notify is an end that is not authenticated", async () => {
  for (const isProper of [true, false]) {
    const { conn, seen } = await openedTls();
    const ends: unknown[] = [];
    seen.onEnd = (authenticated?: boolean): void => void ends.push(authenticated);
    if (isProper) await conn.end();
    else {await conn.failRead(
        named("UnexpectedEof", "peer closed connection without sending TLS close_notify"),
      );}
    assert.equal(ends, [isProper]);
    assert.equal(seen.log, ["open"]);
  }
});

test("an idle socket reads into little, a busy one into much, and a parked one into little again", async () => {
  const { conn, socket, seen, log } = await opened();
  log.length = 0;
  await conn.give(new Uint8Array(1024));
  await conn.give(new Uint8Array(60_000));
  await conn.give(bytes("little"));
  await conn.give(new Uint8Array(1024));
  // The pool parks a socket inside the onData that ends a response.
  seen.dataHook = () => socket.unref!();
  await conn.give(new Uint8Array(60_000));
  assert.equal(log.filter((line) => line.startsWith("read")), [
    `read ${LARGE_BYTES}`,
    `read ${LARGE_BYTES}`,
    "read 1024",
    `read ${LARGE_BYTES}`,
    "read 1024",
  ]);
  socket.destroy();
  await seen.closed;
});

test("a large buffer is nobody else's while a read is pending in it, and is used again after it", async () => {
  const first = await opened();
  const second = await opened();
  await first.conn.give(new Uint8Array(1024));
  await second.conn.give(new Uint8Array(1024));
  const buffer = first.conn.reads[0]!.bytes;
  assert.is(buffer.length, LARGE_BYTES);
  assert.is.not(second.conn.reads[0]!.bytes.buffer, buffer.buffer);
  // The read of a closed connection may still write into it, until it has settled.
  const pending = first.conn.reads.shift()!;
  first.socket.destroy();
  const third = await opened();
  await third.conn.give(new Uint8Array(1024));
  assert.is.not(third.conn.reads[0]!.bytes.buffer, buffer.buffer);
  pending.reject(named("Interrupted", "operation canceled"));
  await settled();
  const fourth = await opened();
  await fourth.conn.give(new Uint8Array(1024));
  assert.is(fourth.conn.reads[0]!.bytes.buffer, buffer.buffer);
  // It may also end with bytes, that nobody is told of.
  const late = fourth.conn.reads.shift()!;
  fourth.socket.destroy();
  late.resolve(100);
  await settled();
  assert.equal(fourth.seen.log, ["open", "data 1024", "close"]);
  const fifth = await opened();
  await fifth.conn.give(new Uint8Array(1024));
  assert.is(fifth.conn.reads[0]!.bytes.buffer, buffer.buffer);
  for (const { socket } of [second, third, fifth]) socket.destroy();
  await settled();
});

test("a paused socket reads nothing more; what a pending read brings waits, the end too", async () => {
  const { conn, socket, seen, log } = await opened();
  socket.pause();
  await conn.give(bytes("waits"));
  assert.equal(seen.log, ["open"]);
  assert.equal(conn.reads.length, 0);
  socket.resume();
  assert.equal(seen.log, ["open"]);
  await settled();
  assert.equal(seen.log, ["open", "data 5"]);
  socket.pause();
  await conn.end();
  assert.equal(seen.log, ["open", "data 5"]);
  socket.resume();
  await settled();
  assert.equal(seen.log, ["open", "data 5", "end"]);
  assert.is(log.filter((line) => line.startsWith("read")).length, 2);
  socket.destroy();
  await seen.closed;
});

test("a unix socket has no no-delay, and no port in its errors", async () => {
  const { deno, socket } = connecting({ host: undefined, port: undefined, path: "/run/x.sock" });
  assert.equal(deno.connects[0]!.options, { transport: "unix", path: "/run/x.sock" } as never);
  socket.destroy();
  const seen = new Recorder();
  createDenoConnect({
    ...deno,
    connect: () => Promise.reject(named("NotFound", "No such file or directory (os error 2)", "ENOENT")),
  } as never)({ path: "/run/x.sock" }, seen);
  const error = await seen.closed;
  assert.equal([error!.code, error!.address, error!.port], ["ENOENT", "/run/x.sock", undefined]);
  assert.is(error!.message, "connect ENOENT /run/x.sock");
});

test("denoError() has Node's code for what Deno says", () => {
  const table: [string, string, string | undefined, string, string?][] = [
    ["ConnectionRefused", "Connection refused (os error 111)", "ECONNREFUSED", "ECONNREFUSED"],
    ["ConnectionRefused", "Connection refused", undefined, "ECONNREFUSED"],
    ["TimedOut", "timed out", undefined, "ETIMEDOUT"],
    ["NetworkUnreachable", "Network is unreachable", undefined, "ENETUNREACH"],
    ["NotCapable", 'Requires net access to "a.test:80"', undefined, "ERR_ACCESS_DENIED"],
    [
      "Error",
      "failed to lookup address information: Name or service not known",
      undefined,
      "ENOTFOUND",
      "lookup",
    ],
    [
      "Error",
      "failed to lookup address information: Temporary failure in name resolution",
      undefined,
      "EAI_AGAIN",
      "lookup",
    ],
    ["Error", "No such host is known. (os error 11001)", undefined, "ENOTFOUND", "lookup"],
    [
      "InvalidData",
      'invalid peer certificate: certificate not valid for name "a.test"',
      undefined,
      "ERR_TLS_CERT_ALTNAME_INVALID",
    ],
    [
      "InvalidData",
      "invalid peer certificate: certificate expired: verification time 1 (UNIX)",
      undefined,
      "CERT_HAS_EXPIRED",
    ],
    ["InvalidData", "invalid peer certificate: UnknownIssuer", undefined, "UNABLE_TO_VERIFY_LEAF_SIGNATURE"],
    [
      "InvalidData",
      "invalid peer certificate: Other(OtherError(CaUsedAsEndEntity))",
      undefined,
      "DEPTH_ZERO_SELF_SIGNED_CERT",
    ],
    [
      "InvalidData",
      "received corrupt message of type InvalidContentType",
      undefined,
      "ERR_SSL_WRONG_VERSION_NUMBER",
    ],
    [
      "InvalidData",
      "received fatal alert: CertificateRequired",
      undefined,
      "ERR_SSL_TLSV13_ALERT_CERTIFICATE_REQUIRED",
    ],
    ["InvalidData", "something of rustls that is not known", undefined, "EPROTO"],
    ["UnexpectedEof", "tls handshake eof", undefined, "ECONNRESET"],
  ];
  for (const [name, message, native, code, phase = "tls"] of table) {
    const error = denoError(named(name, message, native), { phase: "tls", address: "a.test", port: 80 });
    assert.equal([error.code, error.phase], [code, phase], message);
  }
});

test.run();
