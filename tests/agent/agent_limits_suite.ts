import { subscribe, unsubscribe } from "node:diagnostics_channel";
import * as assert from "uvu/assert";
import { Agent, CONNECTION_CHANNEL, type ConnectionEvent } from "@holdfast/agent";
import { suite } from "../harness/suite.ts";
import { type Answer, codeOf, fixture, ok, outcome } from "./memory_origin.ts";

const test = suite("Agent: more than Node");

const answerAtOnce: Answer = (peer) => void peer.send(ok());

async function get(agent: Agent, url = "http://a/"): Promise<boolean> {
  const { body, reusedSocket } = await agent.request(url);
  await body.dump();
  return reusedSocket;
}

test("queueTimeout ends a wait for a connection, and nothing is left of it", async () => {
  const { agent, clock, serve } = fixture({ maxSockets: 1, queueTimeout: 100 });
  let answer: () => void = () => {};
  serve("a", (peer) => {
    answer = () => void peer.send(ok());
  });
  const name = agent.getName({ host: "a", port: 80 });
  const first = get(agent);
  await clock.settle();
  const second = get(agent);
  await clock.advance(50);
  const third = get(agent);
  await clock.advance(49);
  assert.is(await outcome(clock, second), "pending");
  await clock.advance(1);
  assert.equal(await outcome(clock, second.catch(({ code, phase }) => [code, phase])), ["ETIMEDOUT", "pool"]);
  assert.is(agent.requests[name]?.length, 1);
  await clock.advance(20);
  answer();
  assert.is(await first, false);
  await clock.settle();
  answer();
  assert.is(await third, true);
  await clock.settle();
  // A parked connection without a time limit: no timer is left.
  assert.is(clock.pending, 0);
  agent.destroy();
});

test("connectTimeout ends a connect, frees its slot and fails its request", async () => {
  const { agent, clock, network } = fixture({ maxSockets: 1, connectTimeout: 100 });
  network.fault({ host: "a" }, "hang");
  const first = agent.request("http://a/").catch(({ code, phase }) => [code, phase]);
  const second = agent.request("http://a/").catch(({ code, phase }) => [code, phase]);
  await clock.advance(100);
  assert.equal(await outcome(clock, first), ["ETIMEDOUT", "connect"]);
  assert.is(network.connects, 2);
  await clock.advance(100);
  assert.equal(await outcome(clock, second), ["ETIMEDOUT", "connect"]);
  assert.is(agent.totalSocketCount, 0);
  assert.is(clock.pending, 0);
});

test("maxRequestsPerSocket closes a connection after so many requests", async () => {
  const { agent, network, serve } = fixture({ maxRequestsPerSocket: 2 });
  serve("a", answerAtOnce);
  assert.equal([await get(agent), await get(agent), await get(agent)], [false, true, false]);
  assert.is(network.connects, 2);
  assert.is(agent.stats().closed["max-requests"], 1);
  agent.destroy();
});

test("maxLifetime keeps a connection from new requests, parked or not, a tenth earlier at most", async () => {
  const { agent, clock, network, serve } = fixture({ maxLifetime: 1_000 });
  serve("a", answerAtOnce);
  await get(agent);
  await clock.advance(800);
  assert.is(await get(agent), true);
  await clock.advance(260);
  assert.is(network.sockets.size, 0);
  assert.is(await get(agent), false);
  agent.destroy();
  const ends = new Set<number>();
  for (let round = 0; round < 5; round++) {
    const one = fixture({ maxLifetime: 100_000 });
    one.serve("a", answerAtOnce);
    await get(one.agent);
    while (one.network.sockets.size > 0) await one.clock.advance(1_000);
    ends.add(one.clock.now());
    assert.ok(one.clock.now() >= 90_000 && one.clock.now() <= 101_000);
  }
  assert.ok(ends.size > 1, "all ended at the same time");
});

test("idleTimeout is for parked connections alone, and timeout where it is not given", async () => {
  for (const options of [{ idleTimeout: 500, timeout: 9_000 }, { timeout: 500 }]) {
    const { agent, clock, network, serve } = fixture(options);
    serve("a", answerAtOnce);
    await get(agent);
    await clock.advance(499);
    assert.is(network.sockets.size, 1);
    await clock.advance(60);
    assert.is(network.sockets.size, 0);
  }
});

test("idleTimeout of 0 or Infinity parks for ever, whatever timeout says", async () => {
  for (const idleTimeout of [0, Infinity]) {
    const { agent, clock, network, serve } = fixture({ idleTimeout, timeout: 500 });
    serve("a", answerAtOnce);
    await get(agent);
    await clock.advance(3_600_000);
    assert.is(network.sockets.size, 1);
    agent.destroy();
  }
});

test("close() lets what it has taken end, refuses what comes, and resolves when all is closed", async () => {
  const { agent, clock, network, serve } = fixture({ maxSockets: 1 });
  const waiting: (() => void)[] = [];
  serve("a", (peer) => void waiting.push(() => peer.send(ok())));
  serve("b", answerAtOnce);
  await get(agent, "http://b/");
  const taken = [get(agent), get(agent)];
  await clock.settle();
  let isClosed = false;
  const closed = agent.close().then(() => isClosed = true);
  assert.is(agent.close() === agent.close(), true);
  assert.is(await codeOf(clock, get(agent)), "ERR_AGENT_CLOSED");
  for (const _ of taken) {
    assert.is(isClosed, false);
    await clock.settle();
    waiting.shift()!();
    await clock.settle();
  }
  assert.equal(await Promise.all(taken), [false, true]);
  await closed;
  assert.equal([network.sockets.size, agent.totalSocketCount], [0, 0]);
  assert.is(clock.pending, 0);
});

test("close() of an unused agent resolves, and await using closes", async () => {
  await new Agent().close();
  const { clock, network, agent, serve } = fixture();
  serve("a", answerAtOnce);
  {
    await using used = agent;
    await get(used);
    assert.is(network.sockets.size, 1);
  }
  assert.is(network.sockets.size, 0);
  await clock.settle();
});

test("closeIdle() closes what nobody uses", async () => {
  const { agent, clock, network, serve } = fixture();
  serve("a", answerAtOnce);
  serve("b", () => {});
  await get(agent);
  const busy = agent.request("http://b/").catch(({ code }) => code);
  await clock.settle();
  agent.closeIdle();
  await clock.settle();
  assert.is(network.sockets.size, 1);
  assert.equal(agent.stats().closed, { "idle-closed": 1 });
  agent.destroy();
  assert.is(await busy, "ERR_AGENT_DESTROYED");
});

test("stats() counts by name: now, and so far with the reasons", async () => {
  const { agent, clock, network, serve } = fixture({ maxSockets: 1 });
  serve("a", answerAtOnce);
  const name = agent.getName({ host: "a", port: 80 });
  await get(agent);
  await get(agent);
  const heal = network.fault({ host: "b" }, "ECONNREFUSED");
  await codeOf(clock, agent.request("http://b/"));
  heal();
  const stats = agent.stats();
  const { connecting, active, free, closing, pending, opened, reused, failed } = stats;
  assert.equal([connecting, active, free, closing, pending, opened, reused, failed], [
    0,
    0,
    1,
    0,
    0,
    1,
    1,
    1,
  ]);
  assert.equal(stats.dialled, { "none-free": 2 });
  assert.equal([stats.names[name]?.opened, stats.names[name]?.reused, stats.names[name]?.free], [1, 1, 1]);
  agent.closeIdle();
  await clock.settle();
  assert.equal(agent.stats().names[name]?.closed, { "idle-closed": 1 });
});

test("why connections were opened, closed and not reused is told as it happens, and the last of it is printed", async () => {
  const { agent, clock, network, serve } = fixture({ maxTotalSockets: 1, maxRequestsPerSocket: 3 });
  const told: string[] = [];
  const note = (message: unknown): void => {
    const { name, what, reason, requests } = message as ConnectionEvent;
    told.push(`${name} ${what} ${reason} ${requests}`);
  };
  subscribe(CONNECTION_CHANNEL, note);
  try {
    serve("a", answerAtOnce);
    serve("b", (peer) => void peer.send(ok("ok", "Connection: close")));
    await get(agent);
    await get(agent);
    await get(agent, "http://b/");
    await clock.settle();
    await Promise.all([get(agent), get(agent), get(agent)]);
    await clock.settle();
    const heal = network.fault({ host: "c" }, "ECONNREFUSED");
    await codeOf(clock, agent.request("http://c/", { retry: false }));
    heal();
  } finally {
    unsubscribe(CONNECTION_CHANNEL, note);
  }
  assert.equal(told, [
    "a:80: dial none-free 0",
    "a:80: closed room 2",
    "b:80: dial waited 0",
    "b:80: closed response-close 1",
    "a:80: dial none-free 0",
    "a:80: closed max-requests 3",
    "c:80: dial none-free 0",
    "c:80: failed ECONNREFUSED 0",
  ]);
  assert.match(agent.snapshot(), /\n {4}0 ms ago, c:80: failed: ECONNREFUSED$/);
  for (let n = 0; n < 50; n++) await get(agent, "http://b/");
  assert.is(agent.snapshot().split("last of all:\n")[1]!.split("\n").length, 16);
  agent.destroy();
});

test("a dial beside free connections says that they have other options, and a retry's says so", async () => {
  const { agent, clock, network, serve } = fixture();
  serve("a", answerAtOnce);
  await get(agent);
  // One name for two peers.
  agent.getName = () => "a:80:";
  serve("b", answerAtOnce);
  await get(agent, "http://b/");
  Reflect.deleteProperty(agent, "getName");
  assert.equal(agent.stats().dialled, { "none-free": 1, "other-options": 1 });
  let count = 0;
  network.listen({ host: "d" }, async (peer) => {
    await peer.readUntil("\r\n\r\n");
    if (count++ === 0) return peer.reset();
    peer.send(ok());
  });
  await clock.until((async () => await (await agent.request("http://d/", { retry: () => 0 })).body.dump())());
  assert.equal(agent.stats().names["d:80:"]?.dialled, { "none-free": 1, retry: 1 });
  agent.destroy();
});

test("snapshot() prints the pool", async () => {
  const { agent, clock, serve } = fixture({ maxSockets: 1 });
  serve("a", () => {});
  const both = Promise.allSettled([agent.request("http://a/"), agent.request("http://a/")]);
  await clock.advance(70);
  assert.is(
    agent.snapshot(),
    [
      "1 connections (no limit; at most 1 to an origin), 1 requests waiting",
      "  a:80:: 0 connecting, 1 active, 0 free, 0 closing, 1 waiting",
      "    so far: 1 opened, 0 failed, 0 reused, 0 retried; dialled: 1 none-free; closed: none",
      "    active: 1 requests in 70 ms",
      "    waiting for 70 ms",
      "  last of all:",
      "    70 ms ago, a:80: dial: none-free",
    ].join("\n"),
  );
  agent.destroy();
  await both;
});

test.run();
