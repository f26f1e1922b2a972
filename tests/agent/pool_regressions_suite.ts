/**
 * What the pool once got wrong: a connection lost while it was to prove quiet, methods of the user's that throw, an abort
 * before the start, the end of an agent between two attempts. Time and the poll of the event loop are moved by hand.
 */
import process from "node:process";
import * as assert from "uvu/assert";
import { suite } from "../harness/suite.ts";
import type { Agent } from "@holdfast/agent";
import { ManualClock, MemoryNetwork, type MemoryPeer } from "@holdfast/agent/testing";
import { codeOf, fixture, ok, outcome } from "./memory_origin.ts";
import { ConnectionPool } from "../../src/agent/connection_pool.ts";
import { EndpointTable, plainName } from "../../src/agent/endpoint_table.ts";
import { readAgentOptions, type RequestTarget } from "../../src/agent/options.ts";
import { request } from "../../src/agent/request.ts";
import type { AgentRequestInit } from "../../src/agent/request_plan.ts";
import type { AgentResponse } from "../../src/agent/lean_response.ts";
import type { Connect } from "../../src/runtime/socket.ts";

const test = suite("pool regressions");

/** A pool whose wait for a poll ends when the test says so: at the latest when a socket has told something. */
interface PolledPool {
  readonly clock: ManualClock;
  readonly network: MemoryNetwork;
  readonly pool: ConnectionPool;
  /** The origin's end of each connection, the youngest last. */
  readonly peers: MemoryPeer[];
  /** Called when a socket has told something of its end; `poll()` unless a test wants something else. */
  onTold: () => void;
  /** The poll is over. */
  poll(): void;
  /** Servers have heard of every end so far: their slots come back. */
  news(): Promise<void>;
  send(init?: AgentRequestInit): Promise<AgentResponse>;
}

/** Without a retry: whatever is lost shows. */
const POST: AgentRequestInit = { method: "POST", body: "x", retry: false };

const target: RequestTarget = {
  endpoint: new EndpointTable().find({ host: "a", port: 80 }, false, plainName),
  host: "a",
  path: "/",
  authorization: undefined,
};

function polledPool(fields: readonly string[] = [], maxSockets = 1): PolledPool {
  const clock = new ManualClock();
  const network = new MemoryNetwork({ clock });
  const due: (() => void)[] = [];
  const peers: MemoryPeer[] = [];
  network.listen({ host: "a" }, async (peer) => {
    peers.push(peer);
    while (await peer.readUntil("\r\n\r\n") !== undefined) peer.send(ok("ok", ...fields));
    peer.end();
  });
  const connect: Connect = (options, handler) =>
    network.connect(options, {
      onOpen: () => handler.onOpen(),
      onData: (chunk) => {
        handler.onData(chunk);
        result.onTold();
      },
      onEnd: (isAuthenticated) => {
        handler.onEnd(isAuthenticated);
        result.onTold();
      },
      onDrain: () => handler.onDrain(),
      // As on Node: the socket is known to be dead some time before it says so.
      onClose: (error) => {
        result.onTold();
        handler.onClose(error);
        result.poll();
      },
    });
  const settings = { ...readAgentOptions({ keepAlive: true, maxSockets }), idleTimeout: Infinity };
  const result: PolledPool = {
    clock,
    network,
    pool: new ConnectionPool(settings, connect, clock, undefined, (fn) => void due.push(fn)),
    peers,
    onTold: () => result.poll(),
    poll: () => due.splice(0).forEach((fn) => fn()),
    news: async () => {
      await clock.advance(25);
      result.poll();
    },
    send: (init) => request(result.pool, target, init),
  };
  return result;
}

/** A parked connection that has served once. */
async function warm({ clock, send }: PolledPool): Promise<void> {
  const { body } = await send();
  await body.dump();
  await clock.settle();
}

const LOSSES: Readonly<Record<string, [reason: string, lose: (peer: MemoryPeer) => void]>> = {
  "bytes that nobody asked for": ["surplus-bytes", (peer) => void peer.send(ok("evil"))],
  FIN: ["peer-closed", (peer) => peer.end()],
  RST: ["ECONNRESET", (peer) => peer.reset()],
};

for (const [name, [reason, lose]] of Object.entries(LOSSES)) {
  test(`${name} while a connection is to prove quiet: its waiter goes to a new one`, async () => {
    const at = polledPool();
    await warm(at);
    const pending = at.send(POST);
    lose(at.peers[0]!);
    await at.clock.advance(24);
    at.poll();
    assert.is(at.network.connects, 1, "dialled before the server has heard of the end");
    await at.news();
    const response = await outcome(at.clock, pending) as AgentResponse;
    assert.is(response.reusedSocket, false, String(response));
    assert.is(await outcome(at.clock, response.body.text()), "ok");
    assert.equal([at.network.connects, at.pool.core.totalFree], [2, 1]);
    const { closed, dialled } = at.pool.stats.total();
    assert.equal([closed, dialled], [{ [reason]: 1 }, { "none-free": 1, lost: 1 }]);
    at.pool.destroy();
    await at.clock.settle();
  });

  test(`${name} while a connection is to prove quiet: where the cap has room its waiter goes to a new one at once`, async () => {
    const at = polledPool([], 2);
    await warm(at);
    const pending = at.send(POST);
    lose(at.peers[0]!);
    const response = await outcome(at.clock, pending) as AgentResponse;
    assert.is(response.reusedSocket, false, String(response));
    assert.is(at.network.connects, 2);
    await response.body.dump();
    // The lost one counts on.
    assert.is(at.pool.core.totalSlots, 2);
    await at.news();
    assert.is(at.pool.core.totalSlots, 1);
    const { closed, dialled } = at.pool.stats.total();
    assert.equal([closed, dialled], [{ [reason]: 1 }, { "none-free": 2 }]);
    at.pool.destroy();
    await at.clock.settle();
  });

  test(`${name}, and an abort before the close is told: the connection is not parked`, async () => {
    const at = polledPool();
    await warm(at);
    const aborter = new AbortController();
    const pending = at.send({ ...POST, signal: aborter.signal });
    const free: number[] = [];
    at.onTold = () => {
      aborter.abort();
      free.push(at.pool.core.totalFree);
    };
    lose(at.peers[0]!);
    assert.is(await codeOf(at.clock, pending), "ABORT_ERR");
    assert.equal([...new Set(free)], [0]);
    await at.news();
    assert.is(at.pool.core.totalSlots, 0);
  });
}

test("a connection taken out of the agent while it is to prove quiet: its waiter goes to a new one", async () => {
  const at = polledPool();
  await warm(at);
  const pending = at.send(POST);
  const [pooled] = [...at.pool.connections];
  pooled!.detach();
  at.poll();
  const response = await outcome(at.clock, pending) as AgentResponse;
  assert.is(response.reusedSocket, false);
  await response.body.dump();
  pooled!.connection.destroy();
  at.pool.destroy();
  await at.clock.settle();
});

test("an abort before the start leaves the server's idle hint as it was", async () => {
  const at = polledPool(["Keep-Alive: timeout=2"]);
  await warm(at);
  await at.clock.advance(900);
  const aborter = new AbortController();
  const pending = at.send({ ...POST, signal: aborter.signal });
  aborter.abort();
  assert.is(await codeOf(at.clock, pending), "ABORT_ERR");
  assert.is(at.pool.core.totalFree, 1);
  await at.clock.advance(300);
  await at.news();
  assert.equal([at.pool.core.totalSlots, at.network.sockets.size], [0, 0]);
});

test("an upload that is retried while it waits for the socket leaves the next attempt its deadline", async () => {
  const { agent, clock, network } = fixture({ maxSockets: 1 });
  network.listen({ host: "a" }, async (peer) => {
    await peer.readUntil("\r\n\r\n");
    peer.send(ok());
    await peer.readUntil("\r\n\r\n");
    peer.socket.pause();
    clock.after(100, () => peer.reset());
  });
  await (await agent.request("http://a/")).body.dump();
  network.fault({ host: "a" }, "hang");
  async function* body(): AsyncGenerator<Uint8Array> {
    yield new Uint8Array(1_000_000);
  }
  const pending = agent.request("http://a/", { method: "PUT", body, timeouts: { connect: 500 } });
  const failure = pending.catch(({ phase, attempts }) => [phase, attempts]);
  await clock.settle();
  await clock.advance(100);
  await clock.advance(500);
  assert.equal(await outcome(clock, failure), ["connect", 2]);
  agent.destroy();
});

/** What is thrown where nobody can be told, while `body` runs: instead of ending the process. */
async function uncaughtIn(body: () => Promise<void>): Promise<unknown[]> {
  const before = process.listeners("uncaughtException");
  const uncaught: unknown[] = [];
  const note = (error: unknown): void => void uncaught.push(error);
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", note);
  try {
    await body();
    await new Promise((resolve) => setTimeout(resolve, 1));
  } finally {
    process.off("uncaughtException", note);
    for (const listener of before) process.on("uncaughtException", listener);
  }
  return uncaught;
}

async function text(agent: Agent): Promise<[string, boolean]> {
  const { body, reusedSocket } = await agent.request("http://a/");
  return [await body.text(), reusedSocket];
}

const fault = new Error("The user's own");

function throwFault(): never {
  throw fault;
}

test("a reuseSocket() that throws fails its request, and the slot comes back", async () => {
  const { agent, clock, serve } = fixture({ maxSockets: 1 });
  serve("a", (peer) => void peer.send(ok()));
  assert.equal(await text(agent), ["ok", false]);
  agent.reuseSocket = throwFault;
  const both = [outcome(clock, text(agent)), outcome(clock, text(agent))];
  // The second is dialled for: a new connection is not reused.
  assert.equal(await Promise.all(both), [fault, ["ok", false]]);
  Reflect.deleteProperty(agent, "reuseSocket");
  assert.equal(await outcome(clock, text(agent)), ["ok", true]);
  agent.destroy();
});

test("a reuseSocket() that destroys the stream sends its request over a new one", async () => {
  const { agent, clock, network, serve } = fixture({ maxSockets: 1 });
  serve("a", (peer) => void peer.send(ok()));
  assert.equal(await text(agent), ["ok", false]);
  agent.reuseSocket = (stream) => void stream.destroy();
  assert.equal(await outcome(clock, text(agent)), ["ok", false]);
  assert.is(network.connects, 2);
  agent.destroy();
});

test("a request that is aborted inside reuseSocket() leaves its connection to the next", async () => {
  const { agent, clock, network, serve } = fixture({ maxSockets: 1 });
  serve("a", (peer) => void peer.send(ok()));
  assert.equal(await text(agent), ["ok", false]);
  const aborter = new AbortController();
  agent.reuseSocket = () => aborter.abort();
  assert.is(await codeOf(clock, agent.request("http://a/", { signal: aborter.signal })), "ABORT_ERR");
  Reflect.deleteProperty(agent, "reuseSocket");
  assert.is((await outcome(clock, text(agent)) as unknown[])[0], "ok");
  assert.ok(network.connects <= 2);
  agent.destroy();
});

const THROWING: Readonly<Record<string, (agent: Agent) => void>> = {
  "keepSocketAlive()": (agent) => agent.keepSocketAlive = throwFault,
  "a listener of 'free'": (agent) => void agent.on("free", throwFault),
  "removeSocket()": (agent) => agent.removeSocket = throwFault,
};

for (const [name, arrange] of Object.entries(THROWING)) {
  test(`${name} that throws costs neither a response nor a slot`, async () => {
    const { agent, clock, network, serve } = fixture({ maxSockets: 1, maxRequestsPerSocket: 2 });
    serve("a", (peer) => void peer.send(ok()));
    arrange(agent);
    const uncaught = await uncaughtIn(async () => {
      for (let i = 0; i < 5; i++) {
        assert.is((await outcome(clock, text(agent)) as unknown[])[0], "ok");
      }
      agent.destroy();
      await clock.settle();
    });
    assert.ok(uncaught.length > 0);
    assert.equal([...new Set(uncaught)], [fault]);
    assert.equal([agent.totalSocketCount, network.sockets.size], [0, 0]);
  });
}

test("close() lets a request that it has taken go to its retry, and waits for it", async () => {
  const { agent, clock, network } = fixture();
  let count = 0;
  network.listen({ host: "a" }, async (peer) => {
    await peer.readUntil("\r\n\r\n");
    if (count++ === 0) return peer.reset();
    peer.send(ok());
    await peer.readUntil("\r\n\r\n");
    peer.end();
  });
  const response = agent.request("http://a/", { retry: () => 200 }).then(({ body }) => body.text());
  await clock.settle();
  assert.is(count, 1);
  let isClosed = false;
  const closed = agent.close().then(() => isClosed = true);
  await clock.advance(100);
  assert.is(isClosed, false);
  assert.is(await codeOf(clock, agent.request("http://a/")), "ERR_AGENT_CLOSED");
  await clock.advance(100);
  assert.is(await outcome(clock, response), "ok");
  await clock.advance(100);
  assert.is(await outcome(clock, closed), true);
  assert.is(agent.totalSocketCount, 0);
});

test("close() waits for a request whose dial failed and is tried again", async () => {
  const { agent, clock, network, serve } = fixture();
  const heal = network.fault({ host: "a" }, "ECONNREFUSED");
  const ends: string[] = [];
  const response = agent.request("http://a/", {
    retry: () => {
      heal();
      serve("a", (peer) => void peer.send(ok()));
      return true;
    },
  }).then(({ body }) => body.text()).then((body) => ends.push(body));
  const closed = agent.close().then(() => ends.push("closed"));
  await outcome(clock, Promise.all([response, closed]));
  assert.equal(ends, ["ok", "closed"]);
});

test("close() resolves where a request that it has taken failed, was aborted or was never sent", async () => {
  const { agent, clock, network } = fixture({ maxSockets: 1 });
  network.fault({ host: "a" }, "hang");
  const aborter = new AbortController();
  const { signal } = aborter;
  const all = [1, 2].map(() => agent.request("http://a/", { signal }));
  const later = agent.request("http://a/", { signal, retry: () => 1000 });
  const codes = Promise.all([...all, later].map((one) => codeOf(clock, one)));
  const closed = agent.close().then(() => "closed");
  aborter.abort();
  assert.equal(await codes, Array(3).fill("ABORT_ERR"));
  await clock.advance(100);
  assert.is(await outcome(clock, closed), "closed");
});

test("a retry() that throws fails its request, and the slot comes back", async () => {
  const { agent, clock, network, serve } = fixture({ maxSockets: 1 });
  const heal = network.fault({ host: "b" }, "ECONNREFUSED");
  let count = 0;
  serve("a", (peer) => count++ === 0 ? peer.reset() : void peer.send(ok()));
  for (const url of ["http://a/", "http://b/"]) {
    assert.is(await outcome(clock, agent.request(url, { retry: throwFault })), fault);
  }
  heal();
  assert.equal(await outcome(clock, text(agent)), ["ok", false]);
  agent.destroy();
  await clock.settle();
  assert.is(agent.totalSocketCount, 0);
});

test("a body whose return() throws costs neither the retry nor the slot", async () => {
  const { agent, clock, network } = fixture({ maxSockets: 1 });
  let count = 0;
  network.listen({ host: "a" }, async (peer) => {
    await peer.readUntil("\r\n\r\n");
    if (count++ > 0) return void peer.send(ok());
    peer.socket.pause();
    clock.after(100, () => peer.reset());
  });
  const next = (): Promise<IteratorResult<Uint8Array>> =>
    Promise.resolve({ done: false, value: new Uint8Array(1_000_000) });
  const body = (): AsyncIterable<Uint8Array> => ({
    [Symbol.asyncIterator]: () => ({ next, return: throwFault }),
  });
  const pending = agent.request("http://a/", { method: "PUT", body, retry: () => true });
  await clock.settle();
  await clock.advance(100);
  const response = await outcome(clock, pending) as AgentResponse;
  assert.is(response.status, 200, String(response));
  assert.is(await outcome(clock, response.body.text()), "ok");
  agent.destroy();
  await clock.settle();
  assert.is(agent.totalSocketCount, 0);
});

test("destroy() ends a request that waits for its retry: nothing more is sent", async () => {
  const { agent, clock, network } = fixture();
  network.fault({ host: "a" }, "ECONNREFUSED");
  const waiting = agent.request("http://a/", { retry: () => 200 });
  await clock.settle();
  agent.destroy();
  assert.is(await codeOf(clock, waiting), "ERR_AGENT_DESTROYED");
  const { connects } = network;
  await clock.advance(1000);
  assert.equal([network.connects, clock.pending], [connects, 0]);
});

test("a waiter whose connection is taken away while the agent closes is served all the same", async () => {
  const at = polledPool();
  await warm(at);
  const pending = at.send(POST);
  const closed = at.pool.shutDown().then(() => "closed");
  const [pooled] = [...at.pool.connections];
  pooled!.detach();
  pooled!.connection.destroy();
  const response = await outcome(at.clock, pending) as AgentResponse;
  assert.is(response.reusedSocket, false, String(response));
  await response.body.dump();
  await at.clock.advance(100);
  at.poll();
  assert.is(await outcome(at.clock, closed), "closed");
});

test.run();
