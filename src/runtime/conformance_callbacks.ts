/**
 * Conformance: what a handler's callbacks may do: call the socket they are called for, throw; and the optional methods, which may
 * be called at any moment.
 *
 * @module
 */

import { check, equal, pattern } from "./conformance_scenario.ts";
import type { ConformanceHarness, PeerKind } from "./conformance_harness.ts";
import type { AddTest, Client, Scenario } from "./conformance_scenario.ts";

const MIB = 1024 * 1024;

/** Registers the tests. */
export function callbackTests(add: AddTest, harness: ConformanceHarness): void {
  reentranceTests(add);
  optionalTests(add, harness);
  throwTests(add, harness);
}

function reentranceTests(add: AddTest): void {
  add("write() from every callback is sent", async (s) => {
    const server = await s.listen("plain", (peer) => {
      peer.onDataHook = () => {
        peer.onDataHook = undefined;
        peer.send("answer");
        peer.raw.end();
      };
    });
    let drains = 0;
    const client = s.connect(server.options, {
      onOpen: () => void client.write("open "),
      onData: () => void client.write("data "),
      onDrain: () => drains++ < 3 && void client.write("drain "),
      onEnd: () => {
        client.write("end");
        client.end();
      },
      onClose: () => check(!client.write("close"), "write() in onClose is taken"),
    });
    await s.until(() => client.isClosed, "onClose");
    await s.until(() => server.peers[0]!.isEnded, "FIN");
    const words = server.peers[0]!.intake.text.replaceAll("drain ", "");
    equal(words, "open data end", "what the peer received");
    equal(client.error?.code, undefined, "error");
  });

  add("end() inside onOpen, onData and onDrain is a FIN after what was written", async (s) => {
    for (const place of ["onOpen", "onData", "onDrain"] as const) {
      const server = await s.listen("plain", (peer) => peer.send("greeting"));
      const client = s.connect(server.options, {
        [place]: () => {
          client.write("last");
          client.end();
        },
      });
      if (place === "onDrain") client.write(pattern(1, 0, MIB));
      await s.until(() => server.peers[0]?.isEnded === true, `FIN after end() in ${place}`);
      check(server.peers[0]!.intake.text.endsWith("last"), `what was written in ${place} is lost`);
      server.peers[0]!.raw.end();
      await s.until(() => client.isClosed, "onClose");
      equal(client.error?.code, undefined, "error");
    }
  });

  add("destroy() inside any callback is followed by onClose alone", async (s) => {
    for (const place of ["onOpen", "onData", "onDrain", "onEnd"] as const) {
      const server = await s.listen("plain", (peer) => {
        peer.send(pattern(1, 0, MIB));
        peer.raw.end();
      });
      let before = -1;
      const client = s.connect(server.options, {
        [place]: () => {
          if (before === -1) before = client.log.length;
          client.destroy();
        },
      });
      client.write(pattern(1, 0, MIB));
      await s.until(() => client.isClosed, `onClose after destroy() in ${place}`);
      await s.quiet();
      equal(client.log.slice(before), ["close"], `events after destroy() in ${place}`);
    }
  });
}

function optionalTests(add: AddTest, harness: ConformanceHarness): void {
  add("setNoDelay(), setKeepAlive(), ref() and unref() may be called at any moment", async (s) => {
    const server = await s.listen();
    const client = s.connect(server.options, { onOpen: () => callAll(client) });
    callAll(client);
    await s.until(() => client.isOpen, "onOpen");
    client.write("x");
    await s.until(() => server.peers[0]?.intake.length === 1, "the bytes");
    client.destroy();
    callAll(client);
    await s.until(() => client.isClosed, "onClose");
    callAll(client);
  });

  add("an unref'd socket still reports bytes and its peer's end", async (s) => {
    const { client, peer } = await s.pair();
    client.call((socket) => socket.unref!());
    peer.send("unsolicited");
    peer.raw.end();
    await s.until(() => client.isEnded, "onEnd");
    equal(client.intake.text, "unsolicited", "what the client received");
    client.end();
    await s.until(() => client.isClosed, "onClose");
  }, { ref: harness.capabilities.ref });
}

function callAll(client: Client): void {
  client.call((socket) => {
    socket.setNoDelay?.(true);
    socket.setKeepAlive?.(true, 1_000);
    socket.setKeepAlive?.(false, 0);
    socket.unref?.();
    socket.ref?.();
  });
}

// What a handler throws is the process's, and the socket goes on.
function throwTests(add: AddTest, harness: ConformanceHarness): void {
  const flags = { uncaught: harness.uncaught !== undefined };
  const isSecure = harness.kinds.has("tls") && harness.capabilities.tlsOptions.size > 0;
  const kinds: readonly PeerKind[] = isSecure ? ["plain", "tls"] : ["plain"];
  for (const kind of kinds) {
    const prefix = kind === "tls" ? "TLS: " : "";

    add(
      `${prefix}a handler that throws at every event is told every event, and the process what it threw`,
      async (s) => {
        const thrown: string[] = [];
        const stop = takeMessages(s, harness, thrown);
        try {
          const server = await s.listen(kind, (peer) => {
            peer.send("first ");
            peer.onDataHook = () => peer.send("second");
          });
          const fail = failing();
          const client = s.connect(server.options, {
            onOpen: fail("open"),
            onData: fail("data"),
            onDrain: fail("drain"),
            onEnd: fail("end"),
            onClose: fail("close"),
          });
          client.write("x");
          await s.until(() => client.intake.text === "first second", "the bytes");
          await s.until(() => client.log.includes("drain"), "onDrain");
          server.peers[0]!.raw.end();
          await s.until(() => client.isEnded, "onEnd");
          client.end();
          await s.until(() => client.isClosed, "onClose");
          equal([client.story, client.error], [["open", "data", "end", "close"], undefined], "events, error");
          await s.until(() => thrown.length >= 5, "what the handler threw");
          equal([...thrown].sort(), ["close", "data", "drain", "end", "open"], "what the process was told");
        } finally {
          stop();
        }
      },
      flags,
    );

    add(`${prefix}a handler that throws at the first bytes after a pause is given the others`, async (s) => {
      const thrown: string[] = [];
      const stop = takeMessages(s, harness, thrown);
      try {
        const { client, peer } = await s.pair(kind);
        client.pause();
        peer.send("first ");
        await s.quiet();
        peer.send("second");
        await s.quiet();
        client.hooks = { onData: failing()("data") };
        client.resume();
        await s.until(() => client.intake.text === "first second", "the bytes");
        peer.send(" third");
        await s.until(() => client.intake.text === "first second third", "later bytes");
        await s.until(() => thrown.length > 0, "what the handler threw");
        equal(thrown, ["data"], "what the process was told");
      } finally {
        stop();
      }
    }, flags);
  }
}

function takeMessages(s: Scenario, harness: ConformanceHarness, messages: string[]): () => void {
  return harness.uncaught!((error) => {
    messages.push((error as Error).message);
    s.notify();
  });
}

// Makes functions that throw their own name, each the first time that it is called.
function failing(): (name: string) => () => void {
  const done = new Set<string>();
  return (name) => () => {
    if (done.has(name)) return;
    done.add(name);
    throw new Error(name);
  };
}
