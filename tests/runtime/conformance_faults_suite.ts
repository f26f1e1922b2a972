import * as assert from "uvu/assert";
import { ManualClock, socketConformance } from "../../src/testing.ts";
import type { ConformanceHarness } from "../../src/testing.ts";
import { SocketError } from "../../src/runtime/errors.ts";
import type { Connect, ConnectOptions, Socket, SocketHandler } from "../../src/runtime/socket.ts";
import { suite } from "../harness/suite.ts";
import { memoryHarness } from "./conformance_memory.ts";

const test = suite("conformance suite, seeded faults");

/** A sound socket with itself between the user and the network: the ground on which faults are seeded. */
class Between implements Socket {
  handler: SocketHandler;
  readonly inner: Socket;

  constructor(connect: Connect, options: ConnectOptions, handler: SocketHandler) {
    this.handler = handler;
    this.inner = connect(options, {
      onOpen: () => this.onOpen(),
      onData: (chunk) => this.onData(chunk),
      onEnd: (authenticated) => this.onEnd(authenticated),
      onDrain: () => this.onDrain(),
      onClose: (error) => this.onClose(error),
    });
  }

  get connecting(): boolean {
    return this.inner.connecting;
  }
  get destroyed(): boolean {
    return this.inner.destroyed;
  }
  get pendingBytes(): number {
    return this.inner.pendingBytes;
  }
  get bytesRead(): number {
    return this.inner.bytesRead;
  }
  get bytesWritten(): number {
    return this.inner.bytesWritten;
  }
  get info(): Socket["info"] {
    return this.inner.info;
  }
  write(chunk: Uint8Array, more?: boolean): boolean {
    return this.inner.write(chunk, more);
  }
  end(): void {
    this.inner.end();
  }
  destroy(error?: Error): void {
    this.inner.destroy(error);
  }
  pause(): void {
    this.inner.pause();
  }
  resume(): void {
    this.inner.resume();
  }

  onOpen(): void {
    this.handler.onOpen();
  }
  onData(chunk: Uint8Array): void {
    this.handler.onData(chunk);
  }
  onEnd(authenticated?: boolean): void {
    this.handler.onEnd(authenticated);
  }
  onDrain(): void {
    this.handler.onDrain();
  }
  onClose(error?: SocketError): void {
    this.handler.onClose(error);
  }
}

type BetweenClass = new (connect: Connect, options: ConnectOptions, handler: SocketHandler) => Between;

interface Fault {
  readonly Faulty: BetweenClass;
  /** The test of the suite that has to see it. */
  readonly seenBy: string;
  /** How long that test may wait for an event, ms; many a fault is seen by waiting in vain. Default 200. */
  readonly deadlineMs?: number;
}

const faults: Record<string, Fault> = {
  "calls onOpen inside connect()": {
    Faulty: class extends Between {
      constructor(connect: Connect, options: ConnectOptions, handler: SocketHandler) {
        super(connect, options, handler);
        handler.onOpen();
      }
      override onOpen(): void {}
    },
    seenBy: "connect() returns a socket that is connecting, before any event",
  },
  "calls onClose inside destroy()": {
    Faulty: class extends Between {
      override destroy(error?: Error): void {
        if (!this.destroyed) this.handler.onClose();
        super.destroy(error);
      }
      override onClose(): void {}
    },
    seenBy: "destroy() closes both ways: one onClose, last, without an error",
  },
  "calls onClose twice": {
    Faulty: class extends Between {
      override onClose(error?: SocketError): void {
        super.onClose(error);
        super.onClose(error);
      }
    },
    seenBy: "every call after onClose is harmless",
  },
  "never calls onClose after both ends": {
    Faulty: class extends Between {
      override onClose(error?: SocketError): void {
        if (error !== undefined) super.onClose(error);
      }
    },
    seenBy: "both ends at once: one onEnd, one onClose",
  },
  "opens twice": {
    Faulty: class extends Between {
      override onOpen(): void {
        super.onOpen();
        super.onOpen();
      }
    },
    seenBy: "connect() returns a socket that is connecting, before any event",
  },
  "goes on for one chunk after pause()": {
    Faulty: class extends Between {
      #isLate = false;
      override pause(): void {
        this.#isLate = true;
      }
      override onData(chunk: Uint8Array): void {
        super.onData(chunk);
        if (this.#isLate) super.pause();
        this.#isLate = false;
      }
    },
    seenBy: "pause() at any moment stops onData; what was read meanwhile comes after resume()",
  },
  "calls onData inside resume()": {
    Faulty: class extends Between {
      #kept: Uint8Array[] = [];
      #isPaused = false;
      override pause(): void {
        this.#isPaused = true;
      }
      override resume(): void {
        this.#isPaused = false;
        for (const chunk of this.#kept.splice(0)) super.onData(chunk);
      }
      override onData(chunk: Uint8Array): void {
        if (this.#isPaused) this.#kept.push(chunk.slice());
        else super.onData(chunk);
      }
    },
    seenBy: "pause() at any moment stops onData; what was read meanwhile comes after resume()",
  },
  "reads everything into memory while paused": {
    Faulty: class extends Between {
      #kept: Uint8Array[] = [];
      #isPaused = false;
      override pause(): void {
        this.#isPaused = true;
      }
      override onData(chunk: Uint8Array): void {
        if (this.#isPaused) this.#kept.push(chunk.slice());
        else super.onData(chunk);
      }
    },
    seenBy: "a paused socket makes its peer wait",
    deadlineMs: 10_000,
  },
  "keeps a reference to what it gives later": {
    Faulty: class extends Between {
      override onData(chunk: Uint8Array): void {
        queueMicrotask(() => super.onData(chunk));
      }
    },
    seenBy: "bytes of every value arrive unchanged, both ways",
  },
  "loses the last byte of a large chunk": {
    Faulty: class extends Between {
      override write(chunk: Uint8Array, more?: boolean): boolean {
        return super.write(chunk.length > 40_000 ? chunk.subarray(1) : chunk, more);
      }
    },
    seenBy: "a chunk may be changed after onDrain",
  },
  "sends the whole buffer behind a view": {
    Faulty: class extends Between {
      override write(chunk: Uint8Array, more?: boolean): boolean {
        return super.write(new Uint8Array(chunk.buffer), more);
      }
    },
    seenBy: "a view into a larger buffer is sent, and nothing beside it",
  },
  "swaps two small writes": {
    Faulty: class extends Between {
      #first: Uint8Array | undefined = undefined;
      override write(chunk: Uint8Array, more?: boolean): boolean {
        const first = this.#first;
        this.#first = first === undefined ? chunk : undefined;
        if (first === undefined) return true;
        super.write(chunk, more);
        return super.write(first, more);
      }
    },
    seenBy: "ten thousand small writes arrive in order",
    deadlineMs: 10_000,
  },
  "holds a chunk until the next one where more is said": {
    Faulty: class extends Between {
      #held: Uint8Array | undefined = undefined;
      override write(chunk: Uint8Array, more?: boolean): boolean {
        if (this.#held !== undefined) super.write(this.#held);
        this.#held = more === true ? chunk : undefined;
        return more === true || super.write(chunk);
      }
    },
    seenBy: "write(chunk, true) and the next write arrive joined; alone it goes out as well",
  },
  "drops what is written before onOpen": {
    Faulty: class extends Between {
      override write(chunk: Uint8Array, more?: boolean): boolean {
        return this.connecting || super.write(chunk, more);
      }
    },
    seenBy: "writes before onOpen are queued, and sent in order",
  },
  "never calls onDrain": {
    Faulty: class extends Between {
      override onDrain(): void {}
    },
    seenBy: "a small write is drained: pendingBytes is 0 after it, or onDrain follows",
  },
  "calls onDrain before pendingBytes is 0": {
    Faulty: class extends Between {
      override write(chunk: Uint8Array, more?: boolean): boolean {
        queueMicrotask(() => this.handler.onDrain());
        return super.write(chunk, more);
      }
    },
    seenBy: "a peer that does not read: write() asks to wait, onDrain comes when it reads",
  },
  "takes a write after end()": {
    Faulty: class extends Between {
      override write(chunk: Uint8Array, more?: boolean): boolean {
        super.write(chunk, more);
        return true;
      }
    },
    seenBy: "write() after end() takes nothing",
  },
  "closes both ways in end()": {
    Faulty: class extends Between {
      override end(): void {
        super.destroy();
      }
    },
    seenBy: "end() sends FIN and reading goes on; both ends over, onClose follows by itself",
  },
  "ends at the peer's FIN": {
    Faulty: class extends Between {
      override onEnd(authenticated?: boolean): void {
        super.onEnd(authenticated);
        super.destroy();
      }
    },
    seenBy: "after onEnd writing goes on; after end() onClose follows by itself",
  },
  "reports an RST as a clean end": {
    Faulty: class extends Between {
      override onClose(): void {
        super.onEnd();
        super.onClose();
      }
    },
    seenBy: "RST on an idle socket is onClose with ECONNRESET, and no onEnd",
  },
  "reports a refused connect without an error": {
    Faulty: class extends Between {
      override onClose(): void {
        super.onClose();
      }
    },
    seenBy: "a refused connect is one onClose with ECONNREFUSED",
  },
  "forgets the error of destroy()": {
    Faulty: class extends Between {
      override destroy(): void {
        super.destroy();
      }
    },
    seenBy: "destroy(error) gives the error to onClose",
  },
  "keeps the first handler for ever": {
    Faulty: class extends Between {
      readonly #first: SocketHandler;
      constructor(connect: Connect, options: ConnectOptions, handler: SocketHandler) {
        super(connect, options, handler);
        this.#first = handler;
      }
      override onData(chunk: Uint8Array): void {
        this.#first.onData(chunk);
      }
    },
    seenBy: "a handler replaced inside onData gets the next event",
  },
  "ignores an option": {
    Faulty: class extends Between {
      constructor(connect: Connect, options: ConnectOptions, handler: SocketHandler) {
        const { host, port } = options;
        super(connect, { host, port }, handler);
      }
    },
    seenBy: "option localAddress is refused, since it cannot be honoured",
  },
  "speaks plain text where TLS is asked for": {
    Faulty: class extends Between {
      constructor(connect: Connect, options: ConnectOptions, handler: SocketHandler) {
        super(connect, { ...options, tls: undefined }, handler);
      }
    },
    seenBy:
      "TLS: a certificate that names another host is refused with ERR_TLS_CERT_ALTNAME_INVALID, and the peer gets no byte",
  },
  "accepts every certificate": {
    Faulty: class extends Between {
      constructor(connect: Connect, options: ConnectOptions, handler: SocketHandler) {
        super(connect, { ...options, tls: { ...options.tls, rejectUnauthorized: false } }, handler);
      }
    },
    seenBy: "TLS: a certificate that has expired is refused with CERT_HAS_EXPIRED, and the peer gets no byte",
  },
  "counts what it reads wrongly": {
    Faulty: class extends Between {
      override get bytesRead(): number {
        return super.bytesRead + 1;
      }
    },
    seenBy: "bytes of every value arrive unchanged, both ways",
  },
};

for (const [fault, { Faulty, seenBy, deadlineMs = 200 }] of Object.entries(faults)) {
  test(`sees an adapter that ${fault}`, async () => {
    const sound = await outcome(seenBy, deadlineMs, Between);
    assert.is(sound, undefined, "the test fails without the fault");
    const faulty = await outcome(seenBy, deadlineMs, Faulty);
    assert.ok(faulty !== undefined, "the fault is not seen");
  });
}

/** What the test of this name complains of. */
async function outcome(name: string, deadlineMs: number, Adapter: BetweenClass): Promise<unknown> {
  const memory = memoryHarness(new ManualClock());
  const connect: Connect = (options, handler) => new Adapter(memory.connect, options, handler);
  const harness: ConformanceHarness = { ...memory, connect, deadlineMs };
  let found: (() => Promise<void>) | undefined;
  socketConformance((each, body) => {
    if (each === name) found = body;
  }, harness);
  assert.ok(found !== undefined, `there is no test "${name}"`);
  return await found().then(() => undefined, (error) => error);
}

test.run();
