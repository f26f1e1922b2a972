/**
 * Run by hand: what takes too long for the gate, over every adapter that this runtime has. 64 MiB each way against a slow
 * peer, and ten thousand connects given up (two thousand over TLS); prints what grew, and ends with 1 where a bound is broken.
 * Without the collector at hand (`--expose-gc`) garbage counts as growth.
 *
 * ```sh
 * deno run -A --v8-flags=--expose-gc tests/fuzz/sockets.ts
 * bun tests/fuzz/sockets.ts
 * node --expose-gc npm/esm/tests/fuzz/sockets.js
 * ```
 */
// deno-lint-ignore-file no-console -- this is a command: its output is the console
import { readdirSync } from "node:fs";
import * as net from "node:net";
import process from "node:process";
import * as tls from "node:tls";
import { type Adapter, adapters } from "../../src/runtime/mod.ts";
import type { ConnectOptions, Socket } from "../../src/runtime/socket.ts";
import { ca, good } from "../certs/certs.ts";
import { listening } from "../harness/listening.ts";

const MIB = 1024 * 1024;
const TRANSFER_BYTES = 64 * MIB;
/** Growth of the process during a transfer; the peer and its buffers are in it. */
const MAX_GROWTH_BYTES = 64 * MIB;
const MAX_HEAP_GROWTH_BYTES = 5 * MIB;

let isBroken = false;

process.on("unhandledRejection", (reason) => bound(false, `unhandled rejection: ${reason}`));

function bound(holds: boolean, what: string): void {
  console.log(`${holds ? "ok    " : "BROKEN"} ${what}`);
  if (!holds) isBroken = true;
}

function turn(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

/** Byte `index` of the stream that both sides send. */
function fill(chunk: Uint8Array, from: number): Uint8Array {
  for (let index = 0; index < chunk.length; index++) {
    chunk[index] = ((from + index) * 31 + ((from + index) >>> 12)) & 0xff;
  }
  return chunk;
}

class Checker {
  length = 0;
  isRight = true;

  add(chunk: Uint8Array): void {
    // Each 61st byte, or the checking is what is measured.
    for (let index = 0; index < chunk.length; index += 61) {
      const at = this.length + index;
      if (chunk[index] !== ((at * 31 + (at >>> 12)) & 0xff)) this.isRight = false;
    }
    this.length += chunk.length;
  }
}

// Reads 256 KiB, then rests; writes as fast as it is let.
function slowServer(socket: net.Socket, onEnd: () => void): void {
  let sinceRest = 0;
  let sent = 0;
  const received = new Checker();
  socket.on("data", (chunk: Uint8Array) => {
    received.add(chunk);
    sinceRest += chunk.length;
    if (sinceRest < MIB / 4) return;
    sinceRest = 0;
    socket.pause();
    setTimeout(() => socket.resume(), 5);
  });
  socket.on("end", () => {
    bound(received.isRight && received.length === TRANSFER_BYTES, "  what the peer received");
    onEnd();
  });
  const pump = (): void => {
    while (sent < TRANSFER_BYTES) {
      const chunk = fill(new Uint8Array(65_536), sent);
      sent += chunk.length;
      if (!socket.write(chunk)) return void socket.once("drain", pump);
    }
    socket.end();
  };
  pump();
}

async function slowPeer({ capabilities, connect }: Adapter, maxBytes: number): Promise<void> {
  let onEnd!: () => void;
  const ended = new Promise<void>((resolve) => onEnd = resolve);
  const server = net.createServer({ allowHalfOpen: true }, (socket) => slowServer(socket, onEnd));
  const { port, close } = await listening(server);
  const startBytes = process.memoryUsage().rss;
  const startMs = performance.now();
  let most = 0;
  const received = new Checker();
  await new Promise<void>((resolve) => {
    let sent = 0;
    let sinceRest = 0;
    const pump = (): void => {
      most = Math.max(most, process.memoryUsage().rss - startBytes);
      while (sent < TRANSFER_BYTES) {
        const chunk = fill(new Uint8Array(65_536), sent);
        sent += chunk.length;
        if (!socket.write(chunk)) return;
      }
      socket.end();
    };
    const socket: Socket = connect({ host: "127.0.0.1", port }, {
      onOpen: pump,
      onDrain: pump,
      onData: (chunk) => {
        received.add(chunk);
        sinceRest += chunk.length;
        if (sinceRest < MIB) return;
        sinceRest = 0;
        socket.pause();
        setTimeout(() => socket.resume(), 5);
      },
      onEnd: () => {},
      onClose: (error) => {
        bound(error === undefined, `${capabilities.adapter}: the transfer ends ${error?.code ?? "well"}`);
        resolve();
      },
    });
  });
  await ended;
  await close();
  bound(received.isRight && received.length === TRANSFER_BYTES, "  what the client received");
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  bound(most < maxBytes, `  grew by ${(most / MIB).toFixed(1)} MiB in ${seconds} s`);
}

function descriptors(): number {
  return readdirSync("/proc/self/fd").length;
}

async function storm(
  { connect }: Adapter,
  title: string,
  count: number,
  trust?: { ca: string },
): Promise<void> {
  const onConnection = (socket: net.Socket): void => {
    socket.on("error", () => {});
    socket.on("end", () => socket.end());
    socket.resume();
    socket.write("greeting");
  };
  const server = trust === undefined ? net.createServer(onConnection) : tls.createServer(good, onConnection);
  server.on("tlsClientError", () => {});
  const { port, close } = await listening(server);
  const options: ConnectOptions = trust === undefined
    ? { host: "127.0.0.1", port }
    : { host: "localhost", port, tls: trust };
  await abort(connect, options, 500);
  await turn(300);
  const before = { descriptors: descriptors(), heap: heap() };
  const startMs = performance.now();
  await abort(connect, options, count);
  await turn(500);
  const seconds = ((performance.now() - startMs) / 1000).toFixed(1);
  const leaked = descriptors() - before.descriptors;
  const grown = heap() - before.heap;
  bound(leaked <= 0, `${title}: ${count} connects given up, ${leaked} descriptors left, ${seconds} s`);
  bound(grown < MAX_HEAP_GROWTH_BYTES, `  heap grew by ${(grown / MIB).toFixed(1)} MiB`);
  await close();
}

async function abort(connect: Adapter["connect"], options: ConnectOptions, count: number): Promise<void> {
  for (let done = 0; done < count; done += 50) {
    await Promise.all(Array.from({ length: 50 }, (_, index) =>
      new Promise<void>((resolve, reject) => {
        let closes = 0;
        const socket: Socket = connect(options, {
          onOpen: () => index % 5 === 3 && socket.destroy(),
          onData: () => socket.destroy(),
          onEnd: () => {},
          onDrain: () => {},
          onClose: () => ++closes === 1 ? resolve() : reject(new Error("onClose came twice")),
        });
        socket.write(new Uint8Array(10));
        if (index % 5 === 0) socket.destroy();
        if (index % 5 === 1) queueMicrotask(() => socket.destroy());
        if (index % 5 === 2) setTimeout(() => socket.destroy(), index % 7);
      })));
  }
}

function heap(): number {
  // Only where the runtime was told to let go of memory on demand is this exact.
  (globalThis as { gc?: () => void }).gc?.();
  (globalThis as { Bun?: { gc(force: boolean): void } }).Bun?.gc(true);
  return process.memoryUsage().heapUsed;
}

for (const adapter of adapters()) {
  const { adapter: name, tlsOptions } = adapter.capabilities;
  // Once to warm up: the first transfer of a process grows by what the runtime itself takes.
  await slowPeer(adapter, Infinity);
  await slowPeer(adapter, MAX_GROWTH_BYTES);
  await storm(adapter, `${name}, plain`, 10_000);
  if (tlsOptions.has("ca")) await storm(adapter, `${name}, TLS`, 2_000, { ca });
}
process.exit(isBroken ? 1 : 0);
