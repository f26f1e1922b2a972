import { AsyncLocalStorage } from "node:async_hooks";
import * as http from "node:http";
import * as net from "node:net";
import type { Duplex } from "node:stream";
import * as assert from "uvu/assert";
import { Agent } from "@holdfast/agent";
import { suite } from "../harness/suite.ts";
import { follow, origin, type Outcome, pause, send, until } from "./door_origin.ts";
import { staleOrigin } from "./stale_client.ts";

const test = suite("The foreign door: what a request of node:http may do");

/** The agent's connection is parked: the next request finds it. */
function parked(agent: Agent): Promise<void> {
  return until(() => Object.keys(agent.freeSockets).length > 0);
}

const hello: http.RequestListener = (_request, response) => void response.end("hello");

test("events come in Node's order, the same as with the runtime's own agent", async () => {
  const one = await origin(hello);
  const seen: string[][] = [];
  for (const agent of [new http.Agent({ keepAlive: true }), new Agent({ keepAlive: true })]) {
    for (let round = 0; round < 2; round++) {
      const log: string[] = [];
      const onFree = (): void => void log.push("agent free");
      agent.on("free", onFree);
      await new Promise<void>((resolve) => {
        const request = http.request(
          { host: "127.0.0.1", port: one.port, agent, method: "POST" },
          (response) => {
            log.push("response");
            response.on("end", () => log.push("res end")).on("close", () => log.push("res close")).resume();
          },
        );
        for (const event of ["socket", "prefinish", "finish", "close"]) {
          request.on(event, () => log.push(`req ${event}`));
        }
        request.on("close", () => setTimeout(resolve, 20));
        request.end("body");
      });
      agent.off("free", onFree);
      seen.push(log);
    }
    agent.destroy();
  }
  assert.equal(seen[2], seen[0]);
  assert.equal(seen[3], seen[1]);
  assert.ok(seen[3]!.includes("agent free"));
  await one.close();
});

test("informational responses and Expect: 100-continue", async () => {
  const one = await origin((request, response) => {
    response.writeEarlyHints?.({ link: "</a.css>; rel=preload" });
    request.resume().on("end", () => response.end("done"));
  });
  const agent = new Agent({ keepAlive: true });
  for (const reused of [false, true]) {
    const log: unknown[] = [];
    const request = http.request({
      host: "127.0.0.1",
      port: one.port,
      agent,
      method: "POST",
      headers: { expect: "100-continue", "content-length": 4 },
    });
    const outcome = new Promise<Outcome>((resolve) => {
      request.on("continue", () => {
        log.push("continue");
        follow(request, resolve, "body");
      });
    });
    request.on("information", ({ statusCode }) => log.push(statusCode));
    request.flushHeaders();
    const { body, reused: wasReused } = await outcome;
    assert.equal([body, wasReused, log], ["done", reused, ["continue", 100, 103]]);
    await parked(agent);
  }
  agent.destroy();
  await one.close();
});

test("CONNECT hands the stream over, which leaves the agent", async () => {
  const one = await origin(hello);
  one.server.on("connect", (_request: http.IncomingMessage, socket: Duplex) => {
    socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
    socket.pipe(socket);
  });
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  assert.is((await send({ port: one.port, agent })).body, "hello");
  await parked(agent);
  const request = http.request({
    host: "127.0.0.1",
    port: one.port,
    agent,
    method: "CONNECT",
    path: "example:443",
  }).end();
  const socket = await new Promise<Duplex>((resolve) =>
    request.once("connect", (_, stream) => resolve(stream))
  );
  assert.is(request.reusedSocket, true);
  assert.equal([agent.totalSocketCount, Object.keys(agent.sockets)], [0, []]);
  let text = "";
  socket.on("data", (chunk: Uint8Array) => text += new TextDecoder().decode(chunk));
  socket.write("tunnel");
  await until(() => text === "tunnel");
  assert.is((await send({ port: one.port, agent })).body, "hello");
  socket.destroy();
  agent.destroy();
  await one.close();
});

test("101 without an 'upgrade' listener ends the connection", async () => {
  const one = await origin(hello);
  one.server.on("upgrade", (_request: http.IncomingMessage, socket: Duplex) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n");
  });
  const agent = new Agent({ keepAlive: true });
  const { status } = await send({
    port: one.port,
    agent,
    headers: { connection: "Upgrade", upgrade: "x" },
  });
  assert.is(status, undefined);
  await until(() => agent.totalSocketCount === 0);
  await one.close();
});

for (
  const [whose, agentTimeout, timeout] of [["the request's", undefined, 30], [
    "the agent's",
    30,
    undefined,
  ]] as const
) {
  test(`'timeout' by ${whose} time is emitted and ends nothing, on a new and on a reused connection`, async () => {
    let delayMs = 0;
    const one = await origin((_request, response) => void setTimeout(() => response.end("late"), delayMs));
    const agent = new Agent({ keepAlive: true, timeout: agentTimeout, idleTimeout: 10_000 });
    delayMs = 120;
    const slow = { port: one.port, agent, ...timeout === undefined ? {} : { timeout } };
    const first = await send(slow);
    assert.equal([first.body, first.events.includes("timeout"), first.reused], ["late", true, false]);
    await pause(60);
    const second = await send(slow);
    assert.equal([second.body, second.events.includes("timeout"), second.reused], ["late", true, true]);
    delayMs = 0;
    await parked(agent);
    // The next one has no such time, unless it is the agent's.
    const third = await send({ port: one.port, agent });
    assert.equal([third.body, third.events.includes("timeout"), third.reused], ["late", false, true]);
    agent.destroy();
    await one.close();
  });
}

const stages: readonly [string, (request: http.ClientRequest) => Promise<void>][] = [
  ["at once", async () => {}],
  ["with a socket", (request) => new Promise((resolve) => request.once("socket", () => resolve()))],
  ["when sent", (request) => new Promise((resolve) => request.once("finish", () => resolve()))],
  ["in the body", (request) => new Promise((resolve) => request.once("response", () => resolve()))],
];

/** Ends a request in a stage; resolves with its 'close', or after a while with false. */
async function ended(
  agent: http.Agent,
  port: number,
  stage: number,
  end: "destroy" | "abort",
  patienceMs: number,
): Promise<boolean> {
  const request = http.get({ host: "127.0.0.1", port, agent, path: "/head" });
  request.on("error", () => {});
  request.on("response", (response) => response.on("error", () => {}));
  const closed = new Promise<boolean>((resolve) => request.once("close", () => resolve(true)));
  await stages[stage]![1](request);
  request[end]();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<boolean>((resolve) => timer = setTimeout(() => resolve(false), patienceMs));
  const result = await Promise.race([closed, late]);
  clearTimeout(timer);
  return result;
}

const stalling: http.RequestListener = (request, response) => {
  if (request.url === "/head") response.write("some");
  else response.end("x");
};

for (const [index, [stage]] of stages.entries()) {
  for (const warm of [false, true]) {
    test(
      `destroy() and abort() ${stage}, warm: ${warm}, settle the request and free the slot`,
      async () => {
        const one = await origin(stalling);
        const agent = new Agent({ keepAlive: true, maxSockets: 1 });
        for (const end of ["destroy", "abort"] as const) {
          if (warm) assert.is((await send({ port: one.port, agent })).body, "x");
          assert.is(await ended(agent, one.port, index, end, 10_000), true);
          await until(() => Object.keys(agent.sockets).length === 0);
          assert.equal(Object.keys(agent.requests), []);
          agent.closeIdle();
        }
        await until(() => agent.totalSocketCount === 0);
        await one.close();
      },
    );
  }
}

test("the response's end before the request's, and a server that says close", async () => {
  const one = await origin((request, response) => {
    if (request.url === "/close") response.setHeader("connection", "close");
    response.end("early");
    request.resume();
  });
  const agent = new Agent({ keepAlive: true });
  assert.is((await send({ port: one.port, agent, path: "/close" })).body, "early");
  await until(() => agent.totalSocketCount === 0);
  const big = await send({ port: one.port, agent, method: "POST" }, "x".repeat(300_000));
  assert.is(big.body, "early");
  assert.is((await send({ port: one.port, agent })).body, "early");
  agent.destroy();
  await one.close();
});

test("a request's asynchronous context survives the queue, and sockets keep nobody's", async () => {
  const held: http.ServerResponse[] = [];
  const one = await origin((_request, response) => void held.push(response));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const store = new AsyncLocalStorage<number>();
  const seen: unknown[] = [];
  const sent = [1, 2, 3].map((n) =>
    store.run(n, () =>
      new Promise<void>((resolve) => {
        const request = http.get({ host: "127.0.0.1", port: one.port, agent }, (response) => {
          seen.push([n, "response", store.getStore()]);
          response.resume().on("end", () => seen.push([n, "end", store.getStore()]));
        });
        request.on("socket", () => seen.push([n, "socket", store.getStore()]));
        request.on("close", resolve);
      }))
  );
  for (let count = 1; count <= 3; count++) {
    await until(() => held.length === count);
    held[count - 1]!.end("x");
  }
  await Promise.all(sent);
  const order = [1, 2, 3].flatMap((n) => ["socket", "response", "end"].map((event) => [n, event, n]));
  assert.equal(seen, order);
  agent.destroy();
  await one.close();
});

test("an own request's context survives the queue", async () => {
  const one = await origin(hello);
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const store = new AsyncLocalStorage<number>();
  const seen = await Promise.all([1, 2, 3].map((n) =>
    store.run(n, async () => {
      const { body } = await agent.request(`http://127.0.0.1:${one.port}/`);
      const before = store.getStore();
      await body.text();
      return [before, store.getStore()];
    })
  ));
  assert.equal(seen, [[1, 1], [2, 2], [3, 3]]);
  agent.destroy();
  await one.close();
});

test("bytes that lie in the kernel at reuse never answer a foreign request (D10)", async () => {
  const one = await staleOrigin();
  const agent = new Agent({ keepAlive: true });
  for (let round = 1; round <= 10; round++) {
    assert.is((await send({ port: one.port, agent })).status, 200);
    one.block(round);
  }
  agent.destroy();
  await one.close();
});

test("a connection whose FIN lies in the kernel carries no foreign request, POST included (D9)", async () => {
  const one = await origin(hello);
  const agent = new Agent({ keepAlive: true });
  for (let round = 0; round < 20; round++) {
    const { status, code } = await send({ port: one.port, agent, method: "POST" }, "x");
    assert.is(status, 200, `round ${round}: ${code}`);
    await parked(agent);
    for (const socket of one.sockets) socket.destroy();
    // On Deno a server of this very process closes a little later.
    await pause(1);
  }
  agent.destroy();
  await one.close();
});

test("a Duplex that is no net.Socket carries requests", async () => {
  const { Duplex } = await import("node:stream");
  const one = await origin(hello);
  const agent = new Agent({ keepAlive: true });
  agent.createConnection = (options) => {
    const socket = net.connect((options as { port: number }).port, "127.0.0.1");
    const duplex = new Duplex({
      read: (): void => void socket.resume(),
      write: (chunk, _encoding, done): void => void socket.write(chunk, done),
      final: (done): void => void socket.end(done),
      destroy: (error, done): void => {
        socket.destroy();
        done(error);
      },
    });
    socket.on("data", (chunk) => void duplex.push(chunk));
    socket.on("end", () => void duplex.push(null));
    socket.on("error", (error) => void duplex.destroy(error));
    return duplex;
  };
  const first = await send({ port: one.port, agent });
  await parked(agent);
  const second = await send({ port: one.port, agent });
  await parked(agent);
  const { body, reusedSocket } = await agent.request(`http://127.0.0.1:${one.port}/`);
  assert.equal([first.body, second.body, await body.text()], ["hello", "hello", "hello"]);
  assert.equal([first.reused, second.reused, reusedSocket], [false, true, true]);
  agent.destroy();
  await one.close();
});

test("a parked stream holds nothing of its last request, and has no more listeners with each", async () => {
  const one = await origin(hello);
  const agent = new Agent({ keepAlive: true });
  const counts: number[] = [];
  for (let round = 0; round < 3; round++) {
    await send({ agent, port: one.port });
    await until(() => agent.freeSockets[agent.getName({ host: "127.0.0.1", port: one.port })]?.length === 1);
    const [stream] = agent.freeSockets[agent.getName({ host: "127.0.0.1", port: one.port })]!;
    assert.not.ok((stream as { _httpMessage?: unknown })._httpMessage);
    counts.push(stream!.eventNames().reduce((sum, event) => sum + stream!.listenerCount(event), 0));
  }
  assert.equal(counts, [counts[0], counts[0], counts[0]]);
  agent.destroy();
  await one.close();
});

test("a request keeps a destroy() of its own, which is called while it waits, too", async () => {
  const one = await origin(() => {});
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const calls: string[] = [];
  const target = { host: "127.0.0.1", port: one.port };
  const first = http.get({ ...target, agent }).on("error", () => {});
  const destroy = (): void => void calls.push("destroy");
  const waiting = { destroy, getHeader: () => undefined, onSocket: () => void calls.push("onSocket") };
  agent.addRequest(waiting as never, target);
  const [name] = Object.keys(agent.requests);
  assert.ok(agent.requests[name!]![0] as unknown === waiting);
  waiting.destroy();
  assert.equal([calls, Object.keys(agent.requests)], [["destroy", "onSocket"], []]);
  assert.ok(waiting.destroy === destroy);
  first.destroy();
  agent.destroy();
  await one.close();
});

test("a subclass whose destroy() is a field is heard while it waits, in the turn of its making and later", async () => {
  const one = await origin((_request, _response) => {});
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const first = http.get({ host: "127.0.0.1", port: one.port, agent }).on("error", () => {});
  let called = 0;
  // A field is set once the class below it has run, in which the agent was given the request.
  class Special extends http.ClientRequest {
    override destroy = (error?: Error): this => {
      called++;
      return http.ClientRequest.prototype.destroy.call(this, error) as this;
    };
  }
  for (const isLater of [false, true]) {
    const request = new Special({ host: "127.0.0.1", port: one.port, agent } as never);
    const outcome = new Promise<Outcome>((resolve) => follow(request, resolve));
    if (isLater) await pause(1);
    request.destroy(new Error("mine"));
    assert.equal((await outcome).events, ["error", "close"]);
    assert.equal(Object.values(agent.requests).flat().length, 0);
    assert.ok(Object.hasOwn(request, "destroy"));
  }
  assert.is(called, 2);
  first.destroy();
  agent.destroy();
  await one.close();
});

test("agent: false and an agent without addRequest do not meet ours", async () => {
  const one = await origin(hello);
  assert.is((await send({ port: one.port, agent: false })).body, "hello");
  const previous = http.globalAgent;
  assert.not.instance(previous, Agent);
  await one.close();
});

test.run();
