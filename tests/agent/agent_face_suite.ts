import { EventEmitter } from "node:events";
import * as http from "node:http";
import * as https from "node:https";
import { inspect } from "node:util";
import * as assert from "uvu/assert";
import { Agent } from "@holdfast/agent";
import { HttpsAgent } from "../../src/agent/agent.ts";
import { suite } from "../harness/suite.ts";
import { fixture, ok } from "./memory_origin.ts";

const test = suite("Agent: Node's members");

test("it is called with and without new, and may be extended", () => {
  const call = Agent as unknown as (options?: object) => Agent;
  for (const agent of [new Agent({ maxSockets: 3 }), call({ maxSockets: 3 })]) {
    assert.instance(agent, Agent);
    assert.instance(agent, EventEmitter);
    assert.is(agent.constructor, Agent);
    assert.is(agent.maxSockets, 3);
  }
  class Mine extends Agent {
    override getName(): string {
      return "mine";
    }
  }
  assert.is(new Mine().getName(), "mine");
  assert.is(Agent.name, "Agent");
  assert.instance((HttpsAgent as unknown as () => Agent)(), Agent);
});

test("it fits where Node's is asked for", () => {
  const plain: http.Agent = new Agent();
  const secure: https.Agent = new HttpsAgent();
  assert.ok(plain && secure);
});

test("the defaults are Node's", () => {
  const shown = (agent: http.Agent): unknown[] => {
    const { maxSockets, maxFreeSockets, maxTotalSockets } = agent;
    const more = agent as unknown as Record<string, unknown>;
    const options = more["options"] as object;
    const rest = ["keepAlive", "keepAliveMsecs", "scheduling", "totalSocketCount", "defaultPort", "protocol"];
    return [maxSockets, maxFreeSockets, maxTotalSockets, { ...options }, ...rest.map((name) => more[name])];
  };
  assert.equal(shown(new Agent()), shown(new http.Agent()));
  assert.equal(shown(new Agent({ keepAlive: true })), shown(new http.Agent({ keepAlive: true })));
  const secure = shown(new HttpsAgent());
  assert.equal(
    secure.filter((_, index) => index !== 3),
    shown(new https.Agent()).filter((_, index) => index !== 3),
  );
  assert.is(new Agent().agentKeepAliveTimeoutBuffer, 1000);
  assert.is(new Agent({ agentKeepAliveTimeoutBuffer: 0 }).agentKeepAliveTimeoutBuffer, 0);
  assert.is(new HttpsAgent().maxCachedSessions, 100);
});

test("Agent.defaultMaxSockets counts for agents made afterwards", () => {
  Agent.defaultMaxSockets = 7;
  try {
    assert.is(new Agent().maxSockets, 7);
    assert.is(new Agent({ maxSockets: 2 }).maxSockets, 2);
  } finally {
    Agent.defaultMaxSockets = Infinity;
  }
  assert.is(new Agent().maxSockets, Infinity);
});

const NAMES: readonly object[] = [
  {},
  { host: "a" },
  { host: "a", port: 80 },
  { host: "a", port: "80", localAddress: "127.0.0.9" },
  { host: "a", port: 80, family: 4 },
  { host: "a", port: 80, family: 6, socketPath: "/x" },
  { host: "a", port: 80, family: 0, localAddress: "" },
  { host: "a", socketPath: "/tmp/s" },
  { host: "a", port: 443, ca: "CA", cert: "C", key: "K", pfx: "P", ciphers: "x:y" },
  { host: "a", port: 443, rejectUnauthorized: false, servername: "b", minVersion: "TLSv1.2" },
  { host: "a", port: 443, rejectUnauthorized: true, servername: "a", maxVersion: "TLSv1.3" },
  { host: "a", port: 443, secureProtocol: "p", crl: "r", honorCipherOrder: false, ecdhCurve: "e" },
  { host: "a", port: 443, dhparam: "d", secureOptions: 0, sessionIdContext: "s", sigalgs: "a:b" },
  { host: "a", port: 443, privateKeyIdentifier: "i", privateKeyEngine: "e", clientCertEngine: "c" },
];

test("getName() is Node's, letter for letter", () => {
  for (const options of NAMES) {
    assert.is(new Agent().getName(options), new http.Agent().getName(options));
    assert.is(new HttpsAgent().getName(options), new https.Agent().getName(options));
  }
  assert.is(new Agent().getName(), "localhost::");
});

test("the views have no prototype, are empty, and keep what is written into them apart", () => {
  const agent = new Agent();
  for (const view of [agent.sockets, agent.freeSockets, agent.requests] as Record<string, unknown>[]) {
    assert.is(Object.getPrototypeOf(view), null);
    assert.equal(Object.keys(view), []);
    view["a"] = [];
    assert.is(delete view["b"], true);
    assert.equal([Object.keys(view), view["a"]], [["a"], []]);
    assert.is(delete view["a"], true);
    assert.is("a" in view, false);
    view["a"] = 5;
    assert.is(view["a"], undefined);
    assert.is(view["toString"], undefined);
  }
});

test("the views follow the pool, with the same streams each time", async () => {
  const { agent, clock, serve } = fixture({ maxSockets: 1 });
  serve("a", async (peer) => {
    await new Promise<void>((resolve) => clock.after(10, resolve));
    peer.send(ok());
  });
  const name = agent.getName({ host: "a", port: 80 });
  const first = agent.request("http://a/1").then(({ body }) => body.text());
  const second = agent.request("http://a/2").then(({ body }) => body.text());
  await clock.settle();
  assert.equal([Object.keys(agent.sockets), Object.keys(agent.requests)], [[name], [name]]);
  assert.equal([agent.sockets[name]?.length, agent.requests[name]?.length, agent.totalSocketCount], [
    1,
    1,
    1,
  ]);
  const stream = agent.sockets[name]![0];
  assert.is(agent.sockets[name]![0], stream);
  assert.not.equal(agent.sockets[name], undefined);
  for (const view of [agent.sockets, agent.requests]) {
    assert.ok(inspect(view, { depth: 0 }).includes(name), inspect(view, { depth: 0 }));
  }
  assert.is(inspect(agent.freeSockets, { depth: 0 }).includes(name), false);
  agent.sockets[name]!.pop();
  assert.is(agent.sockets[name]?.length, 1);
  assert.equal([await clock.until(first), await clock.until(second)], ["ok", "ok"]);
  assert.is(name in agent.sockets, false);
  assert.is(name in agent.requests, false);
  assert.equal(agent.freeSockets[name]?.map((one) => one === stream), [true]);
  agent.destroy();
  await clock.settle();
  assert.is(agent.totalSocketCount, 0);
});

test("maxSockets, maxTotalSockets, scheduling and keepAlive may change at any time", async () => {
  const { agent, clock, network, serve } = fixture({ maxSockets: 1 });
  serve("a", () => {});
  const all = Promise.allSettled([1, 2, 3].map(() => agent.request("http://a/")));
  await clock.settle();
  assert.is(network.connects, 1);
  agent.maxSockets = 2;
  void Promise.allSettled([agent.request("http://a/")]);
  await clock.settle();
  assert.is(network.connects, 2);
  for (const unset of [0, NaN, undefined]) {
    agent.maxSockets = unset as number;
    agent.maxTotalSockets = unset as number;
  }
  void Promise.allSettled([agent.request("http://a/")]);
  await clock.settle();
  assert.is(network.connects, 5);
  agent.destroy();
  await all;
});

test("options written after construction hold from the next request on", async () => {
  const asked: unknown[] = [];
  const { agent, clock } = fixture({
    runtime: ({ localAddress }) => {
      asked.push(localAddress);
      throw new Error("enough");
    },
  });
  const ask = async (): Promise<void> => {
    await clock.until(agent.request("http://a/").catch(() => {}));
  };
  await ask();
  agent.options["localAddress"] = "127.0.0.2";
  await ask();
  agent.options = { localAddress: "127.0.0.3" };
  await ask();
  assert.equal(asked, [undefined, "127.0.0.2", "127.0.0.3"]);
});

test("'free' is emitted when a connection has become free, after the pooling", async () => {
  const { agent, clock, serve } = fixture();
  serve("a", (peer) => void peer.send(ok()));
  const seen: unknown[] = [];
  agent.on("free", (socket: unknown, options: { host?: string }) => {
    const name = agent.getName(options);
    seen.push([agent.freeSockets[name]?.[0] === socket, options.host]);
  });
  const { body } = await agent.request("http://a/");
  await body.dump();
  await clock.settle();
  assert.equal(seen, [[true, "a"]]);
  agent.destroy();
});

test("captureRejections turns a listener's rejection into 'error'", async () => {
  const agent = new Agent({ captureRejections: true });
  const caught = new Promise((resolve) => agent.on("error", resolve));
  agent.on("mine", () => Promise.reject(new Error("late")));
  agent.emit("mine");
  assert.is((await caught as Error).message, "late");
});

test("it has the whole of EventEmitter", () => {
  const agent = new Agent();
  const heard: unknown[] = [];
  const hear = (value: unknown): void => void heard.push(value);
  agent.setMaxListeners(5);
  assert.is(agent.getMaxListeners(), 5);
  agent.prependListener("x", hear).once("x", hear).addListener("x", hear).prependOnceListener("x", hear);
  assert.equal([agent.listenerCount("x"), agent.rawListeners("x").length], [4, 4]);
  agent.emit("x", 1);
  agent.off("x", hear).removeListener("x", hear).removeAllListeners("x");
  agent.emit("x", 2);
  assert.equal(heard, [1, 1, 1, 1]);
  assert.ok(agent.eventNames().includes("free"));
});

test.run();
