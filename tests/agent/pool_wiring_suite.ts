import * as assert from "uvu/assert";
import { suite } from "../harness/suite.ts";
import { type Answer, codeOf, fixture, ok, outcome } from "./memory_origin.ts";
import { Agent } from "@holdfast/agent";
import { ConnectionPool } from "../../src/agent/connection_pool.ts";
import { EndpointTable, plainName } from "../../src/agent/endpoint_table.ts";
import type { Dispatcher } from "../../src/agent/exchange.ts";
import { readAgentOptions } from "../../src/agent/options.ts";
import { request } from "../../src/agent/request.ts";

const test = suite("Agent's pool");

const answerAtOnce: Answer = (peer) => void peer.send(ok());

async function get(agent: Agent, url: string): Promise<boolean> {
  const { body, reusedSocket } = await agent.request(url);
  await body.dump();
  return reusedSocket;
}

/** Answers that wait until they are let go, one by one. */
function held(): { answer: Answer; paths: string[]; release(): void } {
  const waiting: (() => void)[] = [];
  const paths: string[] = [];
  const answer: Answer = (peer, head) => {
    paths.push(head.split(" ")[1]!);
    waiting.push(() => void peer.send(ok()));
  };
  return { answer, paths, release: () => waiting.shift()!() };
}

test("opens maxSockets connections, queues the rest and serves it in order", async () => {
  const { agent, clock, network, serve } = fixture({ maxSockets: 2 });
  const { answer, paths, release } = held();
  const listener = serve("a", answer);
  const done = [1, 2, 3, 4, 5].map((n) => get(agent, `http://a/${n}`));
  await clock.settle();
  assert.equal(paths, ["/1", "/2"]);
  for (let i = 0; i < 5; i++) {
    release();
    await clock.settle();
    assert.ok(listener.peers.size <= 2);
  }
  assert.equal(await Promise.all(done), [false, false, true, true, true]);
  assert.equal(paths, ["/1", "/2", "/3", "/4", "/5"]);
  assert.is(network.connects, 2);
  agent.destroy();
});

test("a slot counts from the decision to connect", async () => {
  const { agent, clock, network } = fixture({ maxSockets: 2 });
  network.fault({ host: "a" }, "hang");
  const all = Promise.allSettled([1, 2, 3].map(() => get(agent, "http://a/")));
  await clock.settle();
  assert.is(network.connects, 2);
  agent.destroy();
  assert.equal((await all).map(({ status }) => status), ["rejected", "rejected", "rejected"]);
});

test("a failed connect fails its own request and lets the next one dial", async () => {
  const { agent, clock, network, serve } = fixture({ maxSockets: 1 });
  const heal = network.fault({ host: "a" }, "ECONNREFUSED");
  serve("b", answerAtOnce);
  const both = [agent.request("http://a/"), agent.request("http://a/")];
  assert.equal(await Promise.all(both.map((one) => codeOf(clock, one))), ["ECONNREFUSED", "ECONNREFUSED"]);
  assert.is(network.connects, 2);
  heal();
  serve("a", answerAtOnce);
  assert.is(await get(agent, "http://a/"), false);
  agent.destroy();
});

test("an idle connection of another origin makes room under maxTotalSockets once its peer has closed", async () => {
  const { agent, clock, network, serve } = fixture({ maxTotalSockets: 1 });
  const a = serve("a", answerAtOnce);
  serve("b", answerAtOnce);
  await get(agent, "http://a/");
  assert.is(await get(agent, "http://b/"), false);
  assert.equal([a.peers.size, network.connects], [0, 2]);
  agent.destroy();
  await clock.settle();
});

test("a peer that never answers the FIN gives its slot back after a second", async () => {
  const { agent, clock, network, serve } = fixture({ maxTotalSockets: 1 });
  network.listen({ host: "a" }, async (peer) => {
    await peer.readUntil("\r\n\r\n");
    peer.send(ok());
  });
  serve("b", answerAtOnce);
  await get(agent, "http://a/");
  const second = get(agent, "http://b/");
  await clock.advance(999);
  assert.is(await outcome(clock, second), "pending");
  await clock.advance(1);
  assert.is(await second, false);
  agent.destroy();
});

test("parks at most maxFreeSockets connections of an origin", async () => {
  const { agent, clock, network, serve } = fixture({ maxFreeSockets: 1 });
  serve("a", answerAtOnce);
  await Promise.all([get(agent, "http://a/"), get(agent, "http://a/"), get(agent, "http://a/")]);
  await clock.settle();
  assert.equal([network.connects, network.sockets.size], [3, 1]);
  agent.destroy();
});

for (const [scheduling, expected] of [["lifo", 1], ["fifo", 0]] as const) {
  test(`${scheduling} uses the ${scheduling === "lifo" ? "most" : "least"} recently used connection`, async () => {
    const { agent, clock, network, serve } = fixture({ scheduling });
    const { answer, release } = held();
    serve("a", answer);
    const first = [get(agent, "http://a/"), get(agent, "http://a/")];
    await clock.settle();
    for (const pending of first) {
      release();
      await pending;
    }
    const before = [...network.sockets].map((socket) => socket.bytesWritten);
    const third = get(agent, "http://a/");
    await clock.settle();
    const used = [...network.sockets].findIndex((socket, index) => socket.bytesWritten > before[index]!);
    assert.is(used, expected);
    release();
    await third;
    agent.destroy();
  });
}

test("without keepAlive and a cap each request says close", async () => {
  const { agent, clock, network, serve } = fixture({ keepAlive: false });
  const heads: string[] = [];
  serve("a", (peer, head) => {
    heads.push(head);
    peer.send(ok());
  });
  await get(agent, "http://a/");
  await clock.settle();
  assert.match(heads[0]!, /\r\nConnection: close\r\n/);
  assert.is(network.sockets.size, 0);
});

test("without keepAlive but with maxSockets a connection serves the queue and is not parked", async () => {
  const { agent, clock, network, serve } = fixture({ keepAlive: false, maxSockets: 1 });
  serve("a", answerAtOnce);
  assert.equal(await Promise.all([get(agent, "http://a/"), get(agent, "http://a/")]), [false, true]);
  await clock.settle();
  assert.equal([network.connects, network.sockets.size], [1, 0]);
});

for (
  const [name, options, field, expected] of [
    ["the server's hint less the buffer", {}, "Keep-Alive: max=9, TIMEOUT=5", 4000],
    ["the hint and another buffer", { agentKeepAliveTimeoutBuffer: 0 }, "Keep-Alive: timeout=5", 5000],
    ["timeout where there is no hint", { timeout: 3000 }, "X-A: 1", 3000],
    ["the shorter of both", { timeout: 3000 }, "Keep-Alive: timeout=60", 3000],
  ] as const
) {
  test(`a parked connection is closed after ${name}`, async () => {
    const { agent, clock, network, serve } = fixture(options);
    serve("a", (peer) => void peer.send(ok("ok", field)));
    await get(agent, "http://a/");
    await clock.advance(expected - 1);
    assert.is(network.sockets.size, 1);
    // The pool batches expiries: one may come a little late, never early.
    await clock.advance(100);
    assert.is(network.sockets.size, 0);
    assert.is(clock.pending, 0);
  });
}

test("responses that overlap on connections of one origin keep their heads, read late", async () => {
  const { agent, clock, serve } = fixture({ maxSockets: 3 });
  serve("a", async (peer, head) => {
    const name = head.split(" ")[1]!.slice(1);
    const response = ok(name.repeat(3), `X-Name: ${name}`, `X-Length: ${name.length}`);
    for (const piece of [response.slice(0, 21), response.slice(21, 40), response.slice(40)]) {
      peer.send(piece);
      await new Promise<void>((resolve) => clock.after(name.length, resolve));
    }
  });
  const names = Array.from({ length: 30 }, (_, n) => "x".repeat(n % 4) + n);
  const all = await clock.until(Promise.all(names.map(async (name) => {
    const { headers, body } = await agent.request(`http://a/${name}`);
    return { name, headers, text: await body.text() };
  })));
  // Each head is read when all responses are over.
  for (const { name, headers, text } of all) {
    assert.equal([headers["x-name"], headers["x-length"], text], [name, `${name.length}`, name.repeat(3)]);
  }
  agent.destroy();
});

test("the timer of parked connections is not set anew with each request", async () => {
  let timers = 0;
  const { clock, network, serve } = fixture();
  const counting = {
    now: () => clock.now(),
    after: (...args: Parameters<typeof clock.after>) => {
      timers++;
      return clock.after(...args);
    },
  };
  const agent = new Agent({ keepAlive: true, runtime: network.connect, clock: counting, idleTimeout: 5_000 });
  serve("a", answerAtOnce);
  const timeouts = { connect: 0, headers: 0, body: 0 };
  const ask = async (): Promise<void> => {
    const { body } = await agent.request("http://a/", { timeouts });
    await body.dump();
  };
  for (let sent = 0; sent < 20; sent++) await ask();
  assert.is(timers, 1);
  await clock.advance(4_000);
  await ask();
  // Due for the first time: nothing has expired, and it is set for the rest.
  await clock.advance(2_000);
  assert.equal([timers, network.sockets.size], [2, 1]);
  await clock.advance(3_100);
  // The third is for the peer's FIN.
  assert.equal([timers, network.sockets.size, clock.pending], [3, 0, 0]);
});

test("a parked connection does not hold the process, a used one does", async () => {
  const { agent, clock, network, serve } = fixture();
  const { answer, release } = held();
  serve("a", answer);
  for (let i = 0; i < 2; i++) {
    const pending = get(agent, "http://a/");
    await clock.settle();
    assert.is(network.holdsProcess, true);
    release();
    await pending;
    assert.is(network.holdsProcess, false);
  }
  agent.destroy();
});

test("maxPending refuses the request that is one too many", async () => {
  const { agent, clock, serve } = fixture({ maxSockets: 1, maxPending: 1 });
  const { answer, release } = held();
  serve("a", answer);
  const served = [get(agent, "http://a/"), get(agent, "http://a/")];
  assert.is(await codeOf(clock, get(agent, "http://a/")), "ERR_POOL_QUEUE_FULL");
  for (const pending of served) {
    release();
    await pending;
    await clock.settle();
  }
  agent.destroy();
});

test("destroy() fails what is queued, connecting and under way, and leaves the agent usable", async () => {
  const { agent, clock, network, serve } = fixture({ maxSockets: 1 });
  network.fault({ host: "b" }, "hang");
  serve("a", () => {});
  serve("c", (peer) => void peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"));
  serve("d", answerAtOnce);
  const { body } = await agent.request("http://c/");
  await get(agent, "http://d/");
  const all = ["http://a/", "http://a/", "http://b/"].map((url) => agent.request(url));
  const settled = Promise.allSettled([...all, body.text()]);
  await clock.settle();
  agent.destroy();
  const codes = (await settled).map((result) =>
    result.status === "rejected" ? result.reason.code : result.status
  );
  assert.equal(codes, Array(4).fill("ERR_AGENT_DESTROYED"));
  await clock.settle();
  assert.equal([network.sockets.size, clock.pending], [0, 0]);
  assert.is(await get(agent, "http://d/"), false);
  agent.destroy();
});

test("a destroyed connection is lent to nobody, not even before its socket has closed", async () => {
  const { agent, network, serve } = fixture();
  serve("a", answerAtOnce);
  assert.is(await get(agent, "http://a/"), false);
  agent.destroy();
  assert.is(await get(agent, "http://a/"), false);
  assert.is(network.connects, 2);
  agent.destroy();
});

test("a Connect that throws fails the request and gives the slot back", async () => {
  let calls = 0;
  const { agent, clock } = fixture({
    maxSockets: 1,
    runtime: () => {
      calls++;
      throw Object.assign(new TypeError("No such option"), { code: "ERR_UNSUPPORTED_OPTION" });
    },
  });
  for (let i = 1; i <= 2; i++) {
    assert.is(await codeOf(clock, agent.request("http://a/")), "ERR_UNSUPPORTED_OPTION");
    assert.is(calls, i);
  }
});

test("http: and https: of one host and port do not share connections", async () => {
  const { network, serve } = fixture();
  serve("a", answerAtOnce);
  const agent = new Agent({
    keepAlive: true,
    runtime: ({ host, port }, handler) => network.connect({ host, port }, handler),
  });
  await get(agent, "http://a:443/");
  assert.is(await get(agent, "https://a/"), false);
  assert.is(network.connects, 2);
  agent.destroy();
});

test("dispatch() with fresh: true never uses a connection that has served", async () => {
  const { clock, network, serve } = fixture();
  serve("a", answerAtOnce);
  const settings = { ...readAgentOptions({ keepAlive: true, maxSockets: 2 }), idleTimeout: Infinity };
  const pool = new ConnectionPool(settings, network.connect, clock);
  const target = {
    endpoint: new EndpointTable().find({ host: "a", port: 80 }, false, plainName),
    host: "a",
    path: "/",
    authorization: undefined,
  };
  const fresh: Dispatcher = {
    isPersistent: true,
    clock,
    dispatch: (exchange, endpoint) => pool.dispatch(exchange, endpoint, { fresh: true }),
  };
  const reused: boolean[] = [];
  for (const dispatcher of [pool, pool, fresh, fresh, pool]) {
    const { body, reusedSocket } = await request(dispatcher, target);
    await body.dump();
    reused.push(reusedSocket);
  }
  assert.equal(reused, [false, true, false, false, true]);
  assert.is(network.connects, 3);
  pool.destroy();
  await clock.settle();
});

test.run();
