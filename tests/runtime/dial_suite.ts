import * as assert from "uvu/assert";
import { createDialer, dialledSocket } from "../../src/runtime/dial.ts";
import type { DialerSettings } from "../../src/runtime/dial_types.ts";
import { interleave } from "../../src/runtime/dial_race.ts";
import type { SocketError } from "../../src/runtime/errors.ts";
import type { ConnectOptions, LookupFunction, Socket } from "../../src/runtime/socket.ts";
import { memoryCapabilities } from "../../src/testing.ts";
import { suite } from "../harness/suite.ts";
import { plain, port, v4, v6, World } from "./dial_world.ts";
import { bytes, Recorder } from "./node_harness.ts";

const test = suite("runtime/dial");

test("interleave() alternates the families, beginning with the first address's", () => {
  const given = [v6("a::"), v6("b::"), v6("c::"), v4("1.1.1.1"), v4("2.2.2.2")];
  assert.equal(interleave(given).map(({ address }) => address), ["a::", "1.1.1.1", "b::", "2.2.2.2", "c::"]);
  assert.equal(interleave([v4("1.1.1.1"), v6("a::"), v6("b::")]).map(({ family }) => family), [4, 6, 6]);
});

test("info.opening tells the look-up, the race with its losers, and TLS over the winner", async () => {
  const world = new World([v6("a::"), v4("1.1.1.1")]);
  world.network.fault({ host: "a::", port }, "hang");
  world.network.listen({ host: "1.1.1.1", port }, () => {}, { latencyMs: 20, tls: {} });
  const lookup: LookupFunction = (_name, _options, done) =>
    void world.clock.after(40, () => done(null, [v6("a::"), v4("1.1.1.1")]));
  const tls = { host: "localhost" };
  // TLS is started on the winner, and is a part of each attempt.
  for (const capabilities of [memoryCapabilities, { ...memoryCapabilities, startTls: false }]) {
    const seen = new Recorder();
    const dial = createDialer({ ...world.settings, capabilities, lookup });
    const socket = dial({ host: "peer.test", port, tls }, seen);
    await world.clock.until(seen.opened);
    const { opening } = socket.info!;
    assert.equal([opening?.lookupMs, opening?.connectMs], [40, 250 + 40]);
    assert.ok(opening!.tlsMs! >= 40, String(opening!.tlsMs));
    socket.destroy();
    await world.clock.until(seen.closed);
  }
  world.assertNothingLeft();
});

test("the first address that answers in time is the only one tried", async () => {
  const world = new World([v6("a::"), v4("1.1.1.1")], 100);
  world.listen("a::", 100);
  const socket = world.dial();
  await world.clock.until(world.seen.untilText("a::"));
  assert.equal(world.attempts, ["0 a::"]);
  assert.equal(world.seen.log, ["open", "data 3"]);
  socket.destroy();
  await world.clock.until(world.seen.closed);
  world.assertNothingLeft();
});

test("the next attempt starts after 250 ms, and the first is not given up for it", async () => {
  const world = new World([v6("a::"), v4("1.1.1.1")]);
  // 500 ms for its connect: Node kills it after 250 (D16).
  world.listen("a::", 250);
  world.network.fault({ host: "1.1.1.1", port }, "hang");
  const socket = world.dial();
  await world.clock.until(world.seen.opened);
  assert.is(world.clock.now(), 500);
  assert.equal(world.attempts, ["0 a::", "250 1.1.1.1", "500 cancel 1.1.1.1"]);
  socket.destroy();
  await world.clock.until(world.seen.closed);
  world.assertNothingLeft();
});

test("the losers are cancelled when one has won, and only then", async () => {
  const world = new World([v6("a::"), v4("1.1.1.1"), v6("b::"), v4("2.2.2.2")]);
  for (const host of ["a::", "1.1.1.1"]) world.network.fault({ host, port }, "hang");
  world.listen("b::", 50);
  const socket = world.dial();
  await world.clock.until(world.seen.untilText("b::"));
  assert.equal(world.attempts, ["0 a::", "250 1.1.1.1", "500 b::", "600 cancel a::", "600 cancel 1.1.1.1"]);
  socket.destroy();
  await world.clock.until(world.seen.closed);
  world.assertNothingLeft();
});

test("a failure starts the next attempt at once, and the clock of the one after it anew", async () => {
  const world = new World([v6("a::"), v4("1.1.1.1"), v6("b::")], 50);
  world.network.fault({ host: "1.1.1.1", port }, "hang");
  world.listen("b::");
  const socket = world.dial();
  await world.clock.until(world.seen.opened);
  assert.equal(world.attempts, ["0 a::", "100 1.1.1.1", "350 b::", "350 cancel 1.1.1.1"]);
  socket.destroy();
  await world.clock.until(world.seen.closed);
  world.assertNothingLeft();
});

test("the addresses of a look-up are tried with the families in turn", async () => {
  const world = new World([v6("a::"), v6("b::"), v4("1.1.1.1"), v4("2.2.2.2")]);
  world.dial();
  await world.clock.until(world.seen.closed);
  assert.equal(world.attempts.map((line) => line.split(" ")[1]), ["a::", "1.1.1.1", "b::", "2.2.2.2"]);
});

test("autoSelectFamilyAttemptTimeoutMs is the time between attempts, at least 10", async () => {
  for (const [asked, expected] of [[30, 30], [1, 10]] as const) {
    const world = new World([v6("a::"), v4("1.1.1.1")]);
    world.network.fault({ host: "a::", port }, "hang");
    world.listen("1.1.1.1");
    const socket = world.dial({ autoSelectFamilyAttemptTimeoutMs: asked });
    await world.clock.until(world.seen.opened);
    assert.is(world.attempts[1], `${expected} 1.1.1.1`);
    socket.destroy();
    await world.clock.until(world.seen.closed);
  }
});

test("all failed: one onClose, an AggregateError with every error in the order of the addresses", async () => {
  const world = new World([v6("a::"), v4("1.1.1.1")]);
  // The second fails before the first does.
  world.network.fault({ host: "a::", port }, "hang");
  const release = world.network.fault({ host: "1.1.1.1", port }, "EHOSTUNREACH");
  const socket = world.dial();
  await world.clock.advance(300);
  assert.equal(world.seen.log, []);
  release();
  // A hanging connect fails by its own timeout.
  for (const each of world.network.sockets) {
    (each as unknown as { fail(error: SocketError): void }).fail(refused());
  }
  const error = await world.clock.until(world.seen.closed);
  assert.equal(world.seen.log, ["close ECONNREFUSED"]);
  assert.is(error!.phase, "connect");
  assert.is(error!.address, "peer.test");
  assert.is(error!.port, port);
  const cause = error!.cause as AggregateError & { code: string };
  assert.instance(cause, AggregateError);
  assert.equal(cause.errors.map((each: SocketError) => each.code), ["ECONNREFUSED", "EHOSTUNREACH"]);
  assert.is(cause.code, "ECONNREFUSED");
  assert.match(cause.message, /^Cannot connect to "peer\.test": .*ECONNREFUSED.*; .*EHOSTUNREACH/);
  assert.is(error!.message, cause.message);
  assert.is(socket.destroyed, true);
  world.assertNothingLeft();
});

function refused(): SocketError {
  return Object.assign(new Error("connect ECONNREFUSED a::"), {
    code: "ECONNREFUSED",
    phase: "connect",
  }) as never;
}

test("one address that fails is its own error, without a wrapping", async () => {
  const world = new World([v4("1.1.1.1")]);
  world.dial();
  const error = await world.clock.until(world.seen.closed);
  assert.is(error!.code, "ECONNREFUSED");
  assert.is.not(error!.cause instanceof AggregateError, true);
  world.assertNothingLeft();
});

test("destroy() in the look-up, and in the race, is one onClose at once, and nothing is left", async () => {
  let answer: Parameters<LookupFunction>[2] = () => {};
  for (const moment of ["look-up", "race"]) {
    const world = new World([v6("a::"), v4("1.1.1.1")]);
    for (const host of ["a::", "1.1.1.1"]) world.network.fault({ host, port }, "hang");
    const lookup: LookupFunction = (_name, _options, done) => answer = done;
    const socket = world.dial(moment === "race" ? {} : { lookup });
    if (moment === "race") await world.clock.advance(300);
    assert.is(socket.connecting, true);
    socket.destroy(new Error("enough"));
    assert.equal(world.seen.log, []);
    const error = await world.seen.closed;
    answer(null, [v4("1.1.1.1")]);
    await world.clock.settle();
    assert.equal(world.seen.log, ["close ECONNABORTED"]);
    assert.is((error!.cause as Error).message, "enough");
    assert.is(socket.connecting, false);
    assert.is(world.attempts.filter((line) => line.includes("cancel")).length, moment === "race" ? 2 : 0);
    world.assertNothingLeft();
  }
});

test("what is asked of the socket before there is a connection is done on the winner alone", async () => {
  const world = new World([v6("a::"), v4("1.1.1.1")]);
  const received: string[] = [];
  world.network.fault({ host: "a::", port }, "hang");
  world.network.listen({ host: "1.1.1.1", port }, async (peer) => {
    received.push(String(await peer.readBytes(11)), String(await peer.readBytes(1)));
    assert.is(peer.ended, true);
    peer.send("answer");
  });
  const socket = world.dial();
  socket.pause();
  socket.unref!();
  socket.write(bytes("early "), true);
  socket.write(bytes("words"));
  assert.is(socket.pendingBytes, 11);
  assert.is(socket.bytesWritten, 11);
  socket.end();
  assert.is(socket.write(bytes("late")), false);
  await world.clock.until(world.seen.opened);
  assert.is(world.network.holdsProcess, false);
  await world.clock.advance(1000);
  assert.equal(received, ["early words", "undefined"]);
  assert.equal(world.seen.log.filter((event) => event.startsWith("data")), []);
  socket.resume();
  await world.clock.until(world.seen.untilText("answer"));
  assert.is(socket.bytesWritten, 11);
  assert.is(socket.bytesRead, 6);
  socket.destroy();
  await world.clock.until(world.seen.closed);
});

test("early bytes that the adapter takes at once are told by onDrain, after onOpen", async () => {
  for (const takesAtOnce of [true, false]) {
    const world = new World([v4("1.1.1.1")]);
    world.listen("1.1.1.1");
    const written: string[] = [];
    const settings: DialerSettings = {
      ...world.settings,
      connect: (options, handler) => {
        const socket = world.settings.connect(options, handler);
        if (!takesAtOnce) return socket;
        socket.write = (chunk, more) => {
          written.push(`${String.fromCharCode(...chunk)} ${more}`);
          return true;
        };
        return socket;
      },
    };
    const socket = createDialer(settings)({ host: "peer.test", port }, world.seen);
    socket.write(bytes("early"));
    socket.write(bytes("words"));
    await world.clock.until(world.seen.until(() => world.seen.log.includes("drain")));
    await world.clock.settle();
    assert.equal(world.seen.log.filter((event) => !event.startsWith("data")), ["open", "drain"]);
    if (takesAtOnce) assert.equal(written, ["early true", "words false"]);
    socket.destroy();
    await world.clock.until(world.seen.closed);
  }
});

test("the handler that is put in during the race is the one that is told", async () => {
  const world = new World([v4("1.1.1.1")]);
  world.listen("1.1.1.1");
  const socket = world.dial();
  const second = new Recorder();
  socket.handler = second;
  await world.clock.until(second.untilText("1.1.1.1"));
  assert.equal(world.seen.log, []);
  const third = new Recorder();
  socket.handler = third;
  socket.destroy();
  await world.clock.until(third.closed);
  assert.equal(third.log, ["close"]);
});

test("family, hints and lookup are the dialer's own; the adapter sees an address", async () => {
  const world = new World([]);
  const asked: unknown[] = [];
  const lookup: LookupFunction = (name, options, done) => {
    asked.push([name, options]);
    done(null, [v6("a::"), v4("1.1.1.1"), v4("2.2.2.2")]);
  };
  world.listen("1.1.1.1");
  const socket = world.dial({ lookup, family: 4, hints: 32 });
  await world.clock.until(world.seen.opened);
  assert.equal(asked, [["peer.test", { family: 4, hints: 32 }]]);
  assert.equal(world.attempts, ["0 1.1.1.1"]);
  socket.destroy();
  await world.clock.until(world.seen.closed);
});

test("a connect's own look-up is asked for all addresses only where families are raced, as by node:net", async () => {
  const questions: unknown[] = [];
  for (
    const options of [{}, { hints: 7 }, { family: 0 }, { family: 6 }] as const
  ) {
    const world = new World([]);
    const socket = createDialer({ ...world.settings, lookupHints: 32 })({
      host: "peer.test",
      port,
      ...options,
      lookup: (_name, question, done) => {
        questions.push(question);
        done(null, []);
      },
    }, world.seen);
    await world.clock.until(world.seen.closed);
    socket.destroy();
  }
  assert.equal(questions, [
    { hints: 32, all: true },
    { hints: 7, all: true },
    { family: 0, hints: 32, all: true },
    { family: 6, hints: 0 },
  ]);
});

test("a look-up may give one address, or fail, or throw, or find nothing", async () => {
  const lookups: [LookupFunction, string[]][] = [
    [(_name, _options, done) => done(null, "1.1.1.1", 4), ["open"]],
    [
      (_name, _options, done) =>
        done(Object.assign(new Error("no"), { code: "EAI_AGAIN", syscall: "getaddrinfo" })),
      ["close EAI_AGAIN"],
    ],
    [() => {
      throw Object.assign(new Error("thrown"), { code: "EFAIL" });
    }, ["close EFAIL"]],
    [(_name, _options, done) => done(null, []), ["close ENOTFOUND"]],
  ];
  for (const [lookup, expected] of lookups) {
    const world = new World([]);
    world.network.listen({ host: "1.1.1.1", port }, () => {});
    const socket = world.dial({ lookup });
    assert.equal(world.seen.log, [], "nothing is told inside the call");
    await world.clock.until(world.seen.until(() => world.seen.log.length > 0));
    assert.equal(world.seen.log, expected);
    if (expected[0] !== "open") assert.is(world.seen.error!.phase, "lookup");
    socket.destroy();
    await world.clock.until(world.seen.closed);
  }
});

test("addresses, paths and autoSelectFamily: false go to the adapter as they are", async () => {
  for (
    const options of [{ host: "1.1.1.1" }, { host: "a::" }, { autoSelectFamily: false }, { path: "/run/x" }]
  ) {
    const world = new World([]);
    world.dial(options);
    await world.clock.until(world.seen.closed);
    assert.equal(world.log, [`0 ${(options as ConnectOptions).host ?? "peer.test"}`]);
  }
});

test("caller's faults are thrown at once", () => {
  const world = new World([v4("1.1.1.1")]);
  const codes = [{ port: 70000 }, { port: undefined }, { family: 5 }, { localAddress: "127.0.0.1" }, {
    tls: {},
  }]
    .map((options) => {
      try {
        world.dial(options as ConnectOptions);
        return "nothing";
      } catch (error) {
        return (error as { code: string }).code;
      }
    });
  assert.equal(codes, [
    "ERR_SOCKET_BAD_PORT",
    "ERR_SOCKET_BAD_PORT",
    "ERR_INVALID_ARG_VALUE",
    "ERR_UNSUPPORTED_OPTION",
    "ERR_UNSUPPORTED_OPTION",
  ]);
  assert.equal(world.log, []);
});

test("TLS starts on the winner, for the name that was dialled; the losers see none of it", async () => {
  const world = new World([v6("a::"), v4("1.1.1.1")]);
  world.network.fault({ host: "a::", port }, "hang");
  world.listen("1.1.1.1");
  const started: unknown[] = [];
  const secured = { handler: undefined, write: () => true, destroy: () => {} } as unknown as Socket;
  const settings: DialerSettings = {
    ...world.settings,
    capabilities: {
      ...plain,
      startTls: true,
      tlsOptions: new Set(["servername"]),
      startTlsOptions: new Set(["servername"]),
    },
    connect: (options, handler) => {
      assert.is(options.tls, undefined);
      const socket = world.settings.connect(options, handler);
      socket.startTls = (tls) => {
        started.push([options.host, tls]);
        socket.destroy();
        return secured;
      };
      return socket;
    },
  };
  const socket = createDialer(settings)(
    { host: "peer.test", port, tls: { servername: "other.test" } },
    world.seen,
  );
  await world.clock.advance(300);
  assert.equal(started, [["1.1.1.1", { servername: "other.test", host: "peer.test", port }]]);
  assert.is(dialledSocket(socket), secured);
  assert.equal(world.seen.log, []);
});

test("where the adapter tells that TLS begins, the race ends there: a refused certificate is the connect's error", async () => {
  const world = new World([v6("a::"), v4("1.1.1.1"), v4("2.2.2.2")]);
  world.network.fault({ host: "a::", port }, "hang");
  world.network.fault({ host: "1.1.1.1", port }, "hang");
  let reach = (): void => {};
  const tls: unknown[] = [];
  const settings: DialerSettings = {
    ...world.settings,
    tellsTransport: true,
    capabilities: { ...plain, tlsOptions: new Set(["servername"]) },
    connect: (options, handler, onTransport) => {
      tls.push(options.tls);
      if (options.host === "1.1.1.1") reach = onTransport!;
      return world.settings.connect({ ...options, tls: undefined }, handler);
    },
  };
  const socket = createDialer(settings)({ host: "peer.test", port, tls: {} }, world.seen);
  socket.write(bytes("secret"));
  await world.clock.advance(300);
  reach();
  await world.clock.advance(1000);
  assert.equal(world.attempts, ["0 a::", "250 1.1.1.1", "300 cancel a::"]);
  assert.equal(tls, [{ host: "peer.test" }, { host: "peer.test" }]);
  assert.is(socket.connecting, true);
  assert.is(socket.pendingBytes, 6);
  for (const each of world.network.sockets) {
    (each as unknown as { fail(error: SocketError): void }).fail(refused());
  }
  await world.clock.until(world.seen.closed);
  assert.equal(world.seen.log, ["close ECONNREFUSED"]);
  world.assertNothingLeft();
});

test("an adapter that cannot start TLS gets it in each attempt, with the name to verify", async () => {
  const world = new World([v4("1.1.1.1")]);
  const seen: unknown[] = [];
  const settings: DialerSettings = {
    ...world.settings,
    capabilities: { ...plain, tlsOptions: new Set(["servername"]) },
    connect: (options, handler) => {
      seen.push(options.tls);
      return world.network.connect({ ...options, tls: undefined }, handler);
    },
  };
  createDialer(settings)({ host: "peer.test", port, tls: {} }, world.seen);
  await world.clock.until(world.seen.closed);
  assert.equal(seen, [{ host: "peer.test" }]);
});

test.run();
