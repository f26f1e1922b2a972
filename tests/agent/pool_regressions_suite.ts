/**
 * What the pool once got wrong: a connection lost while it was to prove quiet, methods of the user's that throw, an abort
 * before the start, the end of an agent between two attempts. Time and the poll of the event loop are moved by hand.
 */
import * as assert from "uvu/assert";
import { suite } from "../harness/suite.ts";
import { ManualClock, MemoryNetwork, type MemoryPeer } from "@holdfast/agent/testing";
import { codeOf, fixture, ok, outcome } from "./memory_origin.ts";
import { ConnectionPool } from "../../src/agent/connection_pool.ts";
import { EndpointTable, plainName } from "../../src/agent/endpoint_table.ts";
import { readAgentOptions, type RequestTarget } from "../../src/agent/options.ts";
import { request } from "../../src/agent/request.ts";
import type { AgentRequestInit } from "../../src/agent/request_plan.ts";
import type { AgentResponse } from "../../src/agent/request_exchange.ts";
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

function polledPool(fields: readonly string[] = []): PolledPool {
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
  const settings = { ...readAgentOptions({ keepAlive: true, maxSockets: 1 }), idleTimeout: Infinity };
  const result: PolledPool = {
    clock,
    network,
    pool: new ConnectionPool(settings, connect, clock, undefined, (fn) => void due.push(fn)),
    peers,
    onTold: () => result.poll(),
    poll: () => due.splice(0).forEach((fn) => fn()),
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

const LOSSES: Readonly<Record<string, (peer: MemoryPeer) => void>> = {
  "bytes that nobody asked for": (peer) => void peer.send(ok("evil")),
  FIN: (peer) => peer.end(),
  RST: (peer) => peer.reset(),
};

for (const [name, lose] of Object.entries(LOSSES)) {
  test(`${name} while a connection is to prove quiet: its waiter goes to a new one`, async () => {
    const at = polledPool();
    await warm(at);
    const pending = at.send(POST);
    lose(at.peers[0]!);
    const response = await outcome(at.clock, pending) as AgentResponse;
    assert.is(response.reusedSocket, false, String(response));
    assert.is(await outcome(at.clock, response.body.text()), "ok");
    assert.equal([at.network.connects, at.pool.core.totalFree], [2, 1]);
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
    // Slots come back a little late.
    await at.clock.advance(100);
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

test.run();
