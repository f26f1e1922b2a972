import * as assert from "uvu/assert";
import { SocketError } from "../../src/runtime/errors.ts";
import type { SocketHandler } from "../../src/runtime/socket.ts";
import { fromStreams } from "../../src/runtime/web_streams.ts";
import type { StreamPair } from "../../src/runtime/web_streams.ts";
import { suite } from "../harness/suite.ts";

const test = suite("fromStreams");

interface Far {
  readonly pair: StreamPair;
  /** What was written to the socket. */
  readonly reader: ReadableStreamDefaultReader<Uint8Array>;
  /** What the socket is to read. */
  readonly writer: WritableStreamDefaultWriter<Uint8Array>;
}

/** Two identity streams: what is at the far end is passed by reference. */
function far(): Far {
  const inward = new TransformStream<Uint8Array, Uint8Array>();
  const outward = new TransformStream<Uint8Array, Uint8Array>(undefined, undefined, { highWaterMark: 4 });
  return {
    pair: { readable: inward.readable, writable: outward.writable },
    reader: outward.readable.getReader(),
    writer: inward.writable.getWriter(),
  };
}

interface Recorded extends SocketHandler {
  readonly log: string[];
  readonly closed: Promise<SocketError | undefined>;
}

function recorder(): Recorded {
  const log: string[] = [];
  let close: (error: SocketError | undefined) => void;
  return {
    log,
    closed: new Promise((resolve) => close = resolve),
    onOpen: () => void log.push("open"),
    onData: (chunk) => void log.push(`data ${String.fromCharCode(...chunk)}`),
    onEnd: () => void log.push("end"),
    onDrain: () => void log.push("drain"),
    onClose: (error) => {
      log.push(error === undefined ? "close" : `close ${error.code} ${error.phase} ${error.syscall}`);
      close(error);
    },
  };
}

function bytes(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1));
}

test("reads and writes streams that are not byte streams", async () => {
  const { pair, reader, writer } = far();
  const seen = recorder();
  const socket = fromStreams(pair, seen);
  socket.write(bytes("early"));
  assert.equal(seen.log, []);
  assert.equal((await reader.read()).value, bytes("early"));
  void writer.write(bytes("answer"));
  void writer.close();
  socket.end();
  assert.is((await reader.read()).done, true);
  assert.is(await seen.closed, undefined);
  assert.equal(seen.log.filter((event) => event !== "drain"), ["open", "data answer", "end", "close"]);
  assert.is(socket.info?.adapter, "streams");
});

test("what only a handle of the system has does not exist", async () => {
  const seen = recorder();
  const socket = fromStreams(far().pair, seen);
  for (const name of ["ref", "unref", "setNoDelay", "setKeepAlive", "startTls"] as const) {
    assert.is(socket[name], undefined, name);
  }
  socket.destroy();
  await seen.closed;
});

test("copies what is written: the stream may hold it long after its write() has resolved", async () => {
  const { pair, reader } = far();
  const seen = recorder();
  const socket = fromStreams(pair, seen);
  const chunk = bytes("first");
  socket.write(chunk);
  await turn();
  assert.is(socket.pendingBytes, 0);
  chunk.fill(0);
  assert.equal((await reader.read()).value, bytes("first"));
  socket.destroy();
  await seen.closed;
});

test("joins what is written in one turn, with more or while a write is under way", async () => {
  const { pair, reader } = far();
  const seen = recorder();
  const socket = fromStreams(pair, seen);
  socket.write(bytes("head"), true);
  socket.write(bytes(" body"));
  await turn();
  socket.write(bytes("a"));
  for (const letter of "bcd") socket.write(bytes(letter));
  const texts: string[] = [];
  while (texts.join("").length < 13) texts.push(new TextDecoder().decode((await reader.read()).value));
  assert.equal(texts, ["head body", "a", "bcd"]);
  socket.destroy();
  await seen.closed;
});

test("onOpen waits for `opened`, and info is what it gives", async () => {
  const { pair, reader } = far();
  let open!: (info: { adapter: string }) => void;
  const seen = recorder();
  const socket = fromStreams({ ...pair, opened: new Promise((resolve) => open = resolve) }, seen);
  socket.write(bytes("early"));
  await turn();
  assert.equal(seen.log, []);
  assert.is(socket.info, undefined);
  open({ adapter: "ssh" });
  assert.equal((await reader.read()).value, bytes("early"));
  assert.is(socket.info?.adapter, "ssh");
  socket.destroy();
  await seen.closed;
});

test("a rejected `opened` is one onClose, phase connect, with the code that it has", async () => {
  for (
    const [code, expected] of [["ECONNREFUSED", "ECONNREFUSED"], [undefined, "ERR_SOCKET_FAILED"]] as const
  ) {
    const { pair } = far();
    const seen = recorder();
    const reason = Object.assign(new Error("no such channel"), code === undefined ? {} : { code });
    let closes = 0;
    fromStreams({ ...pair, opened: Promise.reject(reason), close: () => void closes++ }, seen);
    const error = await seen.closed;
    assert.equal(seen.log, [`close ${expected} connect connect`]);
    assert.is(error?.cause, reason);
    assert.is(closes, 1);
  }
});

test("destroy() before `opened` has settled closes once; what it settles to later is ignored", async () => {
  for (const settle of ["resolve", "reject"] as const) {
    const { pair } = far();
    let open!: () => void;
    let fail!: (error: Error) => void;
    const opened = new Promise<void>((resolve, reject) => [open, fail] = [resolve, reject]);
    const seen = recorder();
    let closes = 0;
    const socket = fromStreams({ ...pair, opened, close: () => void closes++ }, seen);
    socket.destroy();
    assert.equal([socket.destroyed, socket.connecting, closes], [true, true, 1]);
    await seen.closed;
    if (settle === "resolve") open();
    else fail(new Error("too late"));
    await turn();
    assert.equal(seen.log, ["close"]);
    assert.is(closes, 1);
  }
});

test("a stream's error is the loss of the connection", async () => {
  const { pair, writer } = far();
  const seen = recorder();
  const socket = fromStreams(pair, seen);
  await turn();
  void writer.abort(new Error("channel lost")).catch(() => {});
  const error = await seen.closed;
  assert.equal(seen.log, ["open", "close ECONNRESET open read"]);
  assert.is(error?.message, "channel lost");
  assert.is(socket.destroyed, true);
});

test("a writer's error is the loss of the connection", async () => {
  const { pair, reader } = far();
  const seen = recorder();
  const socket = fromStreams(pair, seen);
  await turn();
  await reader.cancel(Object.assign(new Error("broken"), { code: "EPIPE" }));
  socket.write(bytes("late"));
  await seen.closed;
  assert.equal(seen.log, ["open", "close EPIPE open write"]);
});

test("a byte stream fills a large buffer, again and again", async () => {
  const sizes: number[] = [];
  const asked: number[] = [];
  let left = 300_000;
  const readable = new ReadableStream({
    type: "bytes",
    pull(controller: ReadableByteStreamController): void {
      const view = controller.byobRequest!.view! as Uint8Array;
      asked.push(view.byteLength);
      const length = Math.min(view.byteLength, left);
      left -= length;
      if (length > 0) return controller.byobRequest!.respond(length);
      controller.close();
      controller.byobRequest!.respond(0);
    },
  });
  const seen = recorder();
  const socket = fromStreams({ readable, writable: far().pair.writable }, {
    ...seen,
    onData: (chunk) => void sizes.push(chunk.length),
    onEnd: () => socket.destroy(),
  });
  await seen.closed;
  assert.equal(sizes, [65_536, 65_536, 65_536, 65_536, 37_856]);
  assert.is(Math.min(...asked), 65_536);
});

test("a locked stream is thrown", () => {
  const { pair } = far();
  pair.readable.getReader();
  assert.throws(() => fromStreams(pair, recorder()), (error: Error) => error instanceof TypeError);
});

test("resume() does not lead the read loop into the caller's asynchronous context", async () => {
  const { AsyncLocalStorage } = await import("node:async_hooks");
  const storage = new AsyncLocalStorage<string>();
  const { pair, writer } = far();
  const seen = recorder();
  const stores: (string | undefined)[] = [];
  const socket = fromStreams(pair, {
    ...seen,
    onData: (chunk) => {
      stores.push(storage.getStore());
      if (chunk[0] === 97) socket.pause();
    },
  });
  void writer.write(bytes("a"));
  await turn();
  storage.run("a request's", () => socket.resume());
  for (const letter of "bc") void writer.write(bytes(letter));
  await turn();
  await turn();
  assert.equal(stores, [undefined, undefined, undefined]);
  socket.destroy();
  await seen.closed;
});

test.run();
