/**
 * Conformance: bytes in both directions while the connection is open: contents, order, pausing, backpressure.
 *
 * @module
 */

import { systemClock } from "../clock.ts";
import { bytes, check, equal, pattern, patternByte } from "./conformance_scenario.ts";
import type { AddTest, Client, Peer, Scenario } from "./conformance_scenario.ts";

const MIB = 1024 * 1024;
/** More than any system's buffers for one loopback connection: 16 MiB are what the kernel takes at most. */
const MORE_THAN_BUFFERS = 24 * MIB;
/** Sockets of the large transfer, and what each sends and receives. */
const TRANSFER_SOCKETS = 8;
const TRANSFER_BYTES = 2 * MIB + 12_345;

/** Registers the tests. */
export function flowTests(add: AddTest): void {
  contentTests(add);
  writeTests(add);
  pauseTests(add);
}

function contentTests(add: AddTest): void {
  add("bytes that were lent stay as they are for as long as info says", async (s) => {
    const server = await s.listen("plain", (peer) => peer.send(pattern(1, 0, MIB)));
    let compared = 0;
    const clients = Array.from({ length: 4 }, () => {
      const onData = (chunk: Uint8Array): void => {
        if (client.socket.info?.lentOutlastsCall !== true) return;
        const copy = new Uint8Array(chunk);
        const compare = (turns: number): void => {
          if (turns > 0) return queueMicrotask(() => compare(turns - 1));
          compared += chunk.length;
          if (chunk.some((byte, index) => byte !== copy[index])) s.violate("lent bytes have changed");
        };
        compare(16);
      };
      const client = s.connect(server.options, { onData });
      client.intake.expect(1);
      return client;
    });
    await s.until(() => clients.every(({ intake }) => intake.length === MIB), "all bytes");
    await s.quiet();
    const lasts = clients[0]!.socket.info?.lentOutlastsCall === true;
    equal(compared, lasts ? 4 * MIB : 0, "bytes that were compared");
  });

  add("bytes of every value arrive unchanged, both ways", async (s) => {
    const { client, peer } = await s.pair();
    const all = Uint8Array.from({ length: 256 }, (_, index) => index);
    client.write(all);
    peer.send(all);
    await s.until(() => client.intake.length === 256 && peer.intake.length === 256, "the bytes");
    const text = String.fromCharCode(...all);
    check(client.intake.text === text && peer.intake.text === text, "the bytes have changed");
    equal(client.socket.bytesRead, 256, "bytesRead");
    equal(client.socket.bytesWritten, 256, "bytesWritten");
  });

  add("a view into a larger buffer is sent, and nothing beside it", async (s) => {
    const { client, peer } = await s.pair();
    client.write(bytes("__view__").subarray(2, 6));
    await s.until(() => peer.intake.length >= 4, "the bytes");
    await s.quiet();
    equal(peer.intake.text, "view", "what the peer received");
  });

  add("ten thousand small writes arrive in order", async (s) => {
    const { client, peer } = await s.pair();
    peer.intake.expect(1);
    for (let index = 0; index < 10_000; index++) {
      client.write(pattern(1, index * 3, 3));
      if (index % 500 === 0) await s.turns(1);
    }
    await s.until(() => peer.intake.length === 30_000, "the bytes");
    equal(peer.intake.wrongAt, -1, "first wrong byte");
  });

  add("megabytes behind a few bytes with `more` arrive in order, behind an answer again", async (s) => {
    const { client, peer } = await s.pair();
    peer.intake.expect(1);
    for (let round = 1; round <= 4; round++) {
      const from = peer.intake.length;
      const headBytes = round * 37;
      client.write(pattern(1, from, headBytes), true);
      client.write(pattern(1, from + headBytes, TRANSFER_BYTES));
      await s.until(() => peer.intake.length === from + headBytes + TRANSFER_BYTES, "the bytes");
      equal(peer.intake.wrongAt, -1, "first wrong byte");
      peer.send("!");
      await s.until(() => client.intake.length === round, "the answer");
    }
  });

  add("large transfers over many sockets at once keep their contents, both ways", async (s) => {
    const server = await s.listen("plain", (peer) => {
      // The first byte tells the stream; the answer is another of its own.
      peer.onDataHook = () => {
        peer.onDataHook = undefined;
        const stream = streamOf(peer.intake.text.charCodeAt(0));
        peer.intake.expect(stream);
        for (let at = 0; at < TRANSFER_BYTES; at += MIB) {
          peer.send(pattern(100 + stream, at, Math.min(MIB, TRANSFER_BYTES - at)));
        }
        peer.raw.end();
      };
    });
    const clients = Array.from(
      { length: TRANSFER_SOCKETS },
      (_, stream) => transfer(s, server.options, stream),
    );
    await s.until(() => clients.every(({ isClosed }) => isClosed), "every transfer");
    await s.until(() => server.peers.every(({ isEnded }) => isEnded), "every peer's onEnd");
    for (const { intake, error } of clients) {
      equal([intake.length, intake.wrongAt, error?.code], [TRANSFER_BYTES, -1, undefined], "received");
    }
    for (const { intake } of server.peers) equal(intake.length, TRANSFER_BYTES, "sent");
    equal(
      server.peers.filter(({ intake }) => intake.wrongAt !== -1).length,
      0,
      "peers that received a wrong byte",
    );
  });
}

function streamOf(firstByte: number): number {
  let stream = 0;
  while (patternByte(stream, 0) !== firstByte) stream++;
  return stream;
}

// Sends its stream in chunks that no buffer's size divides, waiting whenever it is asked to.
function transfer(s: Scenario, options: Parameters<Scenario["connect"]>[0], stream: number): Client {
  const chunkBytes = 50_021;
  let at = 0;
  const pump = (): void => {
    while (at < TRANSFER_BYTES) {
      const chunk = pattern(stream, at, Math.min(chunkBytes, TRANSFER_BYTES - at));
      at += chunk.length;
      if (!client.write(chunk)) return;
    }
    client.end();
  };
  const client: Client = s.connect(options, { onOpen: pump, onDrain: () => at > 0 && pump() });
  client.intake.expect(100 + stream);
  return client;
}

function writeTests(add: AddTest): void {
  add("write() of no bytes changes nothing", async (s) => {
    const { client, peer } = await s.pair();
    check(client.write(""), "write() of no bytes asks to wait");
    equal([client.socket.pendingBytes, client.socket.bytesWritten], [0, 0], "pendingBytes and bytesWritten");
    client.write("x");
    await s.until(() => peer.intake.length === 1, "the bytes");
  });

  add("write(chunk, true) and the next write arrive joined; alone it goes out as well", async (s) => {
    const { client, peer } = await s.pair();
    client.write("head", true);
    client.write(" body");
    await s.until(() => peer.intake.length === 9, "the bytes");
    client.write(" alone", true);
    await s.until(() => peer.intake.length === 15, "the bytes of a chunk after which no other came");
    equal(peer.intake.text, "head body alone", "what the peer received");
    client.write(" last", true);
    client.end();
    await s.until(() => peer.isEnded, "FIN");
    equal(peer.intake.text, "head body alone last", "what the peer received");
  });

  add("a small write is drained: pendingBytes is 0 after it, or onDrain follows", async (s) => {
    const { client } = await s.pair();
    check(client.write("x"), "a small write asks to wait");
    if (client.socket.pendingBytes === 0) return;
    await s.until(() => client.log.includes("drain"), "onDrain");
  });

  add("a peer that does not read: write() asks to wait, onDrain comes when it reads", async (s) => {
    const { client, peer } = await s.pair("plain", {}, (each) => each.raw.pause());
    peer.intake.expect(1);
    let sent = 0;
    while (sent < MORE_THAN_BUFFERS) {
      const isReady = client.write(pattern(1, sent, MIB));
      sent += MIB;
      if (!isReady) await s.quiet();
      if (!isReady && client.socket.pendingBytes > MIB) break;
    }
    const pending = client.socket.pendingBytes;
    check(pending > 0, `${sent} bytes were taken for a peer that does not read`);
    const drains = client.log.length;
    await s.quiet();
    equal(client.log.length, drains, "number of events while the peer does not read");
    peer.raw.resume();
    await s.until(() => peer.intake.length === sent, "the bytes");
    await s.until(() => client.log.length > drains, "onDrain");
    equal([client.socket.pendingBytes, peer.intake.wrongAt], [0, -1], "pendingBytes, first wrong byte");
  });

  add("onDrain comes once for each time pendingBytes falls to 0", async (s) => {
    const { client, peer } = await s.pair();
    client.write(pattern(1, 0, 4 * MIB));
    const pending = client.socket.pendingBytes;
    await s.until(() => peer.intake.length === 4 * MIB, "the bytes");
    await s.quiet();
    const drains = client.log.filter((event) => event === "drain").length;
    check(pending === 0 ? drains <= 1 : drains === 1, `onDrain came ${drains} times`);
    await s.quiet();
    equal(client.log.filter((event) => event === "drain").length, drains, "onDrain calls without a write");
  });

  add("a request in two writes is not held back for an acknowledgement", async (s) => {
    const server = await s.listen("plain", answerTwoParts);
    await expectNoStall(s, s.connect(server.options));
  });

  add("a chunk may be changed after onDrain", async (s) => {
    const { client, peer } = await s.pair();
    peer.intake.expect(1);
    const chunk = new Uint8Array(300_000);
    for (let at = 0; at < 10; at++) {
      chunk.set(pattern(1, at * chunk.length, chunk.length));
      client.write(chunk);
      await s.until(() => client.socket.pendingBytes === 0, "pendingBytes to fall to 0");
    }
    await s.until(() => peer.intake.length === 10 * chunk.length, "the bytes");
    equal(peer.intake.wrongAt, -1, "first wrong byte");
  });
}

/** Answers each "head" and "body" with one byte. */
export function answerTwoParts(peer: Peer): void {
  let answered = 0;
  peer.onDataHook = () => {
    for (; answered < Math.floor(peer.intake.length / 8); answered++) peer.send("x");
  };
}

/** Nagle's algorithm holds the second of two small writes back for 40 ms; one fast round of five shows that it is off. */
export async function expectNoStall(s: Scenario, client: Client): Promise<void> {
  await s.until(() => client.isOpen, "onOpen");
  let bestMs = Infinity;
  for (let round = 1; round <= 5; round++) {
    const startMs = systemClock.now();
    client.write("head");
    await Promise.resolve();
    client.write("body");
    await s.until(() => client.intake.length === round, "the answer");
    bestMs = Math.min(bestMs, systemClock.now() - startMs);
  }
  check(bestMs < 30, `the fastest of five rounds took ${bestMs} ms`);
}

function pauseTests(add: AddTest): void {
  add("pause() inside onData is exact: no byte more until resume()", async (s) => {
    const { client, peer } = await s.pair("plain", { onData: () => client.pause() });
    client.intake.expect(1);
    peer.send(pattern(1, 0, MIB));
    let seen = 0;
    for (let round = 0; round < 5 && seen < MIB; round++) {
      await s.until(() => client.intake.length > seen, "bytes");
      seen = client.intake.length;
      await s.quiet();
      equal(client.intake.length, seen, "bytes given while paused");
      client.resume();
    }
    client.hooks = {};
    client.resume();
    await s.until(() => client.intake.length === MIB, "all bytes");
    equal(client.intake.wrongAt, -1, "first wrong byte");
  });

  add("pause() at any moment stops onData; what was read meanwhile comes after resume()", async (s) => {
    const { client, peer } = await s.pair();
    client.pause();
    peer.send("waiting");
    await s.quiet();
    equal(client.intake.length, 0, "bytes given while paused");
    client.resume();
    await s.until(() => client.intake.text === "waiting", "the bytes");
  });

  add("resume() and pause() in one turn leave the socket paused", async (s) => {
    const { client, peer } = await s.pair();
    client.pause();
    peer.send("waiting");
    await s.quiet();
    client.resume();
    client.pause();
    await s.quiet();
    equal(client.intake.length, 0, "bytes given while paused");
    client.resume();
    await s.until(() => client.intake.text === "waiting", "the bytes");
  });

  add("pause() and resume() twice count once", async (s) => {
    const { client, peer } = await s.pair();
    client.pause();
    client.pause();
    client.resume();
    client.resume();
    peer.send("x");
    await s.until(() => client.intake.length === 1, "the bytes");
    client.pause();
    peer.send("y");
    await s.quiet();
    equal(client.intake.text, "x", "what was given while paused");
  });

  add("a paused socket writes on", async (s) => {
    const { client, peer } = await s.pair();
    client.pause();
    peer.send("waiting");
    peer.intake.expect(1);
    client.write(pattern(1, 0, 2 * MIB));
    await s.until(() => peer.intake.length === 2 * MIB, "the bytes");
    await s.until(() => client.socket.pendingBytes === 0, "pendingBytes to fall to 0");
    equal(client.intake.length, 0, "bytes given while paused");
  });

  add("a paused socket makes its peer wait", async (s) => {
    const { client, peer } = await s.pair("plain", { onData: () => client.pause() });
    client.intake.expect(1);
    for (let at = 0; at < MORE_THAN_BUFFERS; at += MIB) peer.send(pattern(1, at, MIB));
    await s.until(() => client.intake.length > 0, "bytes");
    await s.quiet();
    await s.quiet();
    check(peer.raw.pendingBytes > 0, "a paused socket has taken in everything its peer had to send");
    client.hooks = {};
    client.resume();
    await s.until(() => client.intake.length === MORE_THAN_BUFFERS, "all bytes");
    equal(client.intake.wrongAt, -1, "first wrong byte");
  });

  add("a handler replaced inside onData gets the next event", async (s) => {
    const { client, peer } = await s.pair();
    const log: string[] = [];
    const note = (event: string): void => {
      log.push(event);
      s.notify();
    };
    client.hooks = {
      onData: () => {
        client.socket.handler = {
          onOpen: () => note("open"),
          onData: (chunk) => note(`data ${chunk.length}`),
          onEnd: () => note("end"),
          onDrain: () => note("drain"),
          onClose: () => note("close"),
        };
      },
    };
    peer.send("first");
    await s.until(() => client.intake.length === 5, "the first bytes");
    peer.send("two");
    await s.until(() => log.length === 1, "the next bytes");
    client.destroy();
    await s.until(() => log.length === 2, "onClose");
    equal(log, ["data 3", "close"], "events of the second handler");
    equal(client.story, ["open", "data"], "events of the first handler");
  });
}
