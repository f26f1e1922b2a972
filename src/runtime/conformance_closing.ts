/**
 * Conformance: the ways in which a connection ends: FIN from either side, RST, destroy().
 *
 * @module
 */

import { check, equal, pattern } from "./conformance_scenario.ts";
import type { AddTest } from "./conformance_scenario.ts";
import type { ConformanceHarness } from "./conformance_harness.ts";
import { expectReason } from "./conformance_opening.ts";

const MIB = 1024 * 1024;

/** Registers the tests. */
export function closingTests(add: AddTest, harness: ConformanceHarness): void {
  finTests(add, harness);
  destroyTests(add);
  resetTests(add, harness);
  pausedTests(add, harness);
}

function finTests(add: AddTest, harness: ConformanceHarness): void {
  add("end() sends FIN and reading goes on; both ends over, onClose follows by itself", async (s) => {
    const { client, peer } = await s.pair();
    client.write("request");
    client.end();
    await s.until(() => peer.isEnded, "FIN");
    equal(peer.intake.text, "request", "what the peer received");
    peer.send("late answer");
    await s.until(() => client.intake.text === "late answer", "the answer");
    equal(client.story, ["open", "data"], "events before the peer's FIN");
    peer.raw.end();
    await s.until(() => client.isClosed, "onClose");
    equal(client.story, ["open", "data", "end", "close"], "events");
    check(client.socket.destroyed, "destroyed is false");
  }, { halfClose: harness.capabilities.halfClose });

  add("after onEnd writing goes on; after end() onClose follows by itself", async (s) => {
    const { client, peer } = await s.pair();
    peer.raw.end();
    await s.until(() => client.isEnded, "onEnd");
    await s.quiet();
    check(!client.isClosed && !client.socket.destroyed, "the peer's FIN has closed the socket");
    client.write("still here");
    await s.until(() => peer.intake.text === "still here", "the bytes");
    client.end();
    await s.until(() => client.isClosed, "onClose");
    equal(client.story, ["open", "end", "close"], "events");
    await s.until(() => peer.isEnded, "FIN");
  }, { halfClose: harness.capabilities.halfClose });

  add("data and FIN sent together: all the data, then onEnd", async (s) => {
    const { client } = await s.pair("plain", {}, (peer) => {
      peer.send("all of it");
      peer.raw.end();
    });
    await s.until(() => client.isEnded, "onEnd");
    equal(client.intake.text, "all of it", "what the client received");
    equal(client.story, ["open", "data", "end"], "events");
  });

  add("much data and FIN, read with pauses: all the data, then onEnd", async (s) => {
    const { client, peer } = await s.pair("plain", {
      onData: () => {
        client.pause();
        void s.turns(1).then(() => client.resume());
      },
    });
    client.intake.expect(1);
    peer.send(pattern(1, 0, 2 * MIB));
    peer.raw.end();
    await s.until(() => client.isEnded, "onEnd");
    equal([client.intake.length, client.intake.wrongAt], [2 * MIB, -1], "bytes, first wrong byte");
  });

  add("end() with much pending sends all of it, then FIN", async (s) => {
    const { client, peer } = await s.pair("plain", {}, (each) => each.raw.pause());
    peer.intake.expect(1);
    client.write(pattern(1, 0, 8 * MIB));
    client.end();
    await s.quiet();
    peer.raw.resume();
    await s.until(() => peer.isEnded, "FIN");
    equal([peer.intake.length, peer.intake.wrongAt], [8 * MIB, -1], "bytes, first wrong byte");
    peer.raw.end();
    await s.until(() => client.isClosed, "onClose");
    equal(client.story, ["open", "end", "close"], "events");
  });

  add("both ends at once: one onEnd, one onClose", async (s) => {
    const { client, peer } = await s.pair();
    client.end();
    peer.raw.end();
    await s.until(() => client.isClosed, "onClose");
    equal(client.story, ["open", "end", "close"], "events");
    await s.until(() => peer.isClosed, "the peer's close");
  });

  add("write() after end() takes nothing", async (s) => {
    const { client, peer } = await s.pair();
    client.write("before");
    client.end();
    client.end();
    check(!client.write("after"), "write() after end() is taken");
    equal(client.socket.bytesWritten, 6, "bytesWritten");
    await s.until(() => peer.isEnded, "FIN");
    peer.raw.end();
    await s.until(() => client.isClosed, "onClose");
    equal([peer.intake.text, client.error?.code], ["before", undefined], "what the peer received, error");
  });

  add("an idle socket reports bytes nobody asked for, and then the peer's FIN", async (s) => {
    const { client, peer } = await s.pair();
    await s.quiet();
    peer.send("unsolicited");
    await s.until(() => client.intake.text === "unsolicited", "the bytes");
    await s.quiet();
    peer.raw.end();
    await s.until(() => client.isEnded, "onEnd");
    check(client.authenticated !== false, "a plain connection's end is said to lack close_notify");
  });
}

function destroyTests(add: AddTest): void {
  add("destroy() closes both ways: one onClose, last, without an error", async (s) => {
    const { client, peer } = await s.pair();
    client.destroy();
    check(client.socket.destroyed, "destroyed is false after destroy()");
    client.destroy();
    client.destroy(new Error("too late"));
    await s.until(() => client.isClosed, "onClose");
    client.destroy(new Error("too late"));
    await s.quiet();
    equal(client.log, ["open", "close"], "events");
    await s.until(() => peer.isEnded || peer.isClosed, "the peer's end");
  });

  add("destroy(error) gives the error to onClose", async (s) => {
    const { client } = await s.pair();
    const reason = new Error("timed out");
    client.destroy(reason);
    client.destroy(new Error("a second reason"));
    await s.until(() => client.isClosed, "onClose");
    expectReason(client, reason);
  });

  add("destroy() drops what is pending", async (s) => {
    const { client, peer } = await s.pair("plain", {}, (each) => each.raw.pause());
    client.write(pattern(1, 0, 32 * MIB));
    client.destroy();
    equal(client.socket.pendingBytes, 0, "pendingBytes after destroy()");
    await s.until(() => client.isClosed, "onClose");
    peer.raw.resume();
    await s.until(() => peer.isEnded || peer.isClosed, "the peer's end");
    check(peer.intake.length < 32 * MIB, "everything pending was sent");
  });

  add("destroy() with unread data waiting is no error of ours", async (s) => {
    const { client, peer } = await s.pair();
    client.pause();
    peer.send(pattern(1, 0, 100_000));
    await s.quiet();
    client.destroy();
    client.resume();
    await s.until(() => client.isClosed, "onClose");
    await s.quiet();
    equal(client.log, ["open", "close"], "events");
    await s.until(() => peer.isEnded || peer.isClosed, "the peer's end");
  });

  add("destroy() of a paused socket is one onClose", async (s) => {
    const { client } = await s.pair("plain", { onData: () => client.pause() }, (peer) => {
      peer.send(pattern(1, 0, MIB));
      peer.raw.end();
    });
    await s.until(() => client.intake.length > 0, "bytes");
    await s.quiet();
    const { length } = client.log;
    client.destroy();
    await s.until(() => client.isClosed, "onClose");
    await s.quiet();
    equal(client.log.slice(length), ["close"], "events after destroy()");
  });

  add("every call after onClose is harmless", async (s) => {
    const { client } = await s.pair();
    client.destroy();
    await s.until(() => client.isClosed, "onClose");
    check(!client.write("late"), "write() after onClose is taken");
    client.end();
    client.pause();
    client.resume();
    client.destroy();
    await s.quiet();
    equal(client.log, ["open", "close"], "events");
    equal([client.socket.pendingBytes, client.socket.bytesWritten], [0, 0], "pendingBytes and bytesWritten");
  });
}

function resetTests(add: AddTest, harness: ConformanceHarness): void {
  const needs = { resets: harness.resets };

  add("RST before the first byte is onClose with ECONNRESET, and nothing was received", async (s) => {
    const server = await s.listen("plain", (peer) => {
      peer.onDataHook = () => peer.raw.reset!();
    });
    const client = s.connect(server.options);
    client.write("request");
    await s.until(() => client.isClosed, "onClose");
    await s.quiet();
    equal(client.story, ["open", "close ECONNRESET"], "events");
    equal([client.intake.length, client.error?.phase], [0, "open"], "bytes received, phase");
  }, needs);

  add("RST on an idle socket is onClose with ECONNRESET, and no onEnd", async (s) => {
    const { client, peer } = await s.pair();
    await s.quiet();
    peer.raw.reset!();
    await s.until(() => client.isClosed, "onClose");
    await s.quiet();
    equal(client.log, ["open", "close ECONNRESET"], "events");
    equal([client.error?.phase, client.error?.syscall], ["open", "read"], "phase and syscall");
  }, needs);

  add("RST in the middle of data is onClose with ECONNRESET, and no onEnd", async (s) => {
    const { client, peer } = await s.pair();
    client.intake.expect(1);
    peer.send(pattern(1, 0, 100_000));
    await s.until(() => client.intake.length === 100_000, "the bytes");
    peer.raw.reset!();
    await s.until(() => client.isClosed, "onClose");
    equal(client.story, ["open", "data", "close ECONNRESET"], "events");
  }, needs);

  add(
    "RST while writing is one onClose with ECONNRESET or EPIPE, and what is pending is dropped",
    async (s) => {
      const { client } = await s.pair("plain", {
        onDrain: () => void client.write(pattern(1, 0, MIB)),
      }, (peer) => {
        peer.onDataHook = () => {
          peer.onDataHook = undefined;
          peer.raw.reset!();
        };
      });
      client.write(pattern(1, 0, MIB));
      client.write(pattern(1, 0, MIB));
      await s.until(() => client.isClosed, "onClose");
      await s.quiet();
      check(/^(ECONNRESET|EPIPE)$/.test(client.error?.code ?? ""), `code is "${client.error?.code}"`);
      equal(client.log.filter((event) => event.startsWith("close")).length, 1, "number of onClose");
      check(!client.isEnded, "onEnd came");
    },
    needs,
  );

  // A write takes the error off the system's socket, where a read finds nothing but an end from then on.
  add("RST that a write meets first is onClose with ECONNRESET or EPIPE, and no onEnd", async (s) => {
    const { client, peer } = await s.pair();
    await s.quiet();
    peer.raw.reset!();
    client.write("late");
    await s.until(() => client.isClosed, "onClose");
    check(/^(ECONNRESET|EPIPE)$/.test(client.error?.code ?? ""), `code is "${client.error?.code}"`);
    check(!client.isEnded, "onEnd came");
  }, needs);

  add("RST after our end() is an error still", async (s) => {
    const { client, peer } = await s.pair();
    client.end();
    await s.until(() => peer.isEnded, "FIN");
    peer.raw.reset!();
    await s.until(() => client.isClosed, "onClose");
    equal(client.story, ["open", "close ECONNRESET"], "events");
  }, { ...needs, halfClose: harness.capabilities.halfClose });

  add("writing to a peer that is gone ends in ECONNRESET or EPIPE", async (s) => {
    const { client, peer } = await s.pair();
    peer.raw.destroy();
    await s.until(() => client.isEnded, "onEnd");
    for (let round = 0; !client.isClosed && round < 100; round++) {
      client.write("late");
      await s.turns(3);
    }
    await s.until(() => client.isClosed, "onClose");
    check(/^(ECONNRESET|EPIPE)$/.test(client.error?.code ?? ""), `code is "${client.error?.code}"`);
  }, needs);
}

function pausedTests(add: AddTest, harness: ConformanceHarness): void {
  const { capabilities, resets } = harness;
  const { seesCloseWhilePaused, keepsDataBeforeReset, resetAfterPauseLooksClean } = capabilities;

  add(`FIN while paused is ${seesCloseWhilePaused ? "seen at once" : "seen after resume()"}`, async (s) => {
    const { client, peer } = await s.pair();
    client.pause();
    peer.raw.end();
    await s.quiet();
    if (!seesCloseWhilePaused) equal(client.isEnded, false, "onEnd came while paused");
    if (!seesCloseWhilePaused) client.resume();
    await s.until(() => client.isEnded, "onEnd");
  });

  add(
    `RST while paused is ${seesCloseWhilePaused ? "seen at once" : "seen after resume() at the latest"}`,
    async (s) => {
      const { client, peer } = await s.pair();
      client.pause();
      peer.raw.reset!();
      await s.quiet();
      if (!seesCloseWhilePaused) client.resume();
      await s.until(() => client.isClosed, "onClose");
      equal(client.story, ["open", "close ECONNRESET"], "events");
    },
    { resets },
  );

  const order = keepsDataBeforeReset ? "the data comes first" : "the data waiting may be lost";
  const end = resetAfterPauseLooksClean ? "it may look like a clean end" : "it is an error";
  add(`RST behind data while paused: ${order}, and ${end}`, async (s) => {
    const { client, peer } = await s.pair();
    client.pause();
    // Two reads: the second waits in the system, where the adapter keeps the first.
    peer.send("wait");
    await s.quiet();
    peer.send("ing");
    await s.quiet();
    peer.raw.reset!();
    await s.quiet();
    equal(client.intake.length, 0, "bytes given while paused");
    client.resume();
    await s.until(() => client.isClosed || client.isEnded, "the end");
    if (keepsDataBeforeReset) equal(client.intake.text, "waiting", "what the client received");
    // Whether the system tells the end or the reset depends there on how much of the data one read took.
    if (!client.isEnded || !resetAfterPauseLooksClean) equal(client.error?.code, "ECONNRESET", "code");
    if (!resetAfterPauseLooksClean) equal(client.isEnded, false, "onEnd came");
  }, { resets });
}
