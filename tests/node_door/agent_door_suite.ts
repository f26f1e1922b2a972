import type * as http from "node:http";
import type { Duplex } from "node:stream";
import * as assert from "uvu/assert";
import { Agent } from "@holdfast/agent";
import { suite } from "../harness/suite.ts";
import { origin, pause, send, until } from "./door_origin.ts";

const test = suite("Agent as the agent of the runtime's own http.request");

const hello: http.RequestListener = (_request, response) => void response.end("hello");

test("carries a request and keeps its connection for the next", async () => {
  const { port, close, ...seen } = await origin(hello);
  const agent = new Agent({ keepAlive: true });
  const name = agent.getName({ host: "127.0.0.1", port });
  for (const reused of [false, true, true]) {
    const outcome = await send({ port, agent });
    assert.equal([outcome.status, outcome.body, outcome.reused], [200, "hello", reused]);
    await until(() => agent.freeSockets[name]?.length === 1);
    assert.is(agent.sockets[name], undefined);
  }
  void seen;
  agent.destroy();
  await close();
});

test("maxSockets holds at the server, and the queue is served in order", async () => {
  const held: http.ServerResponse[] = [];
  const one = await origin((_request, response) => void held.push(response));
  const agent = new Agent({ keepAlive: true, maxSockets: 2 });
  const name = agent.getName({ host: "127.0.0.1", port: one.port });
  const all = [1, 2, 3, 4, 5].map((n) => send({ port: one.port, agent, path: `/${n}` }));
  await until(() => held.length === 2);
  assert.equal([agent.sockets[name]?.length, agent.requests[name]?.length, agent.totalSocketCount], [
    2,
    3,
    2,
  ]);
  for (let sent = 0; sent < 5; sent++) {
    await until(() => held.length > sent);
    held[sent]!.end("ok");
  }
  const outcomes = await Promise.all(all);
  assert.equal(outcomes.map(({ status, reused }) => [status, reused]), [
    [200, false],
    [200, false],
    [200, true],
    [200, true],
    [200, true],
  ]);
  assert.equal(one.paths.slice(2), ["/3", "/4", "/5"]);
  assert.is(one.peak, 2);
  agent.destroy();
  await one.close();
});

test("without keepAlive each request says close and the connection is closed", async () => {
  const heads: (string | undefined)[] = [];
  const one = await origin((request, response) => {
    heads.push(request.headers.connection);
    response.end("x");
  });
  const agent = new Agent();
  await send({ port: one.port, agent });
  await send({ port: one.port, agent });
  assert.equal(heads, ["close", "close"]);
  assert.is(one.accepted, 2);
  await until(() => agent.totalSocketCount === 0);
  await one.close();
});

for (const method of ["POST", "PATCH", "LOCK"]) {
  for (const end of ["FIN", "RST"]) {
    test(`${method} is sent once, whatever the runtime does when ${end} answers it on a reused connection`, async () => {
      const one = await origin((request, response) => {
        if (request.url === "/first") return void response.end("hello");
        request.resume().on("end", () => {
          if (end === "FIN") request.socket.end();
          else request.socket.resetAndDestroy();
        });
      });
      const agent = new Agent({ keepAlive: true });
      await send({ port: one.port, agent, path: "/first" });
      await until(() => agent.stats().free === 1);
      const outcome = await send({ port: one.port, agent, method, path: "/second" }, "order");
      assert.equal([outcome.code, outcome.status], ["ECONNRESET", undefined]);
      assert.equal(one.paths, ["/first", "/second"]);
      agent.destroy();
      await one.close();
    });
  }
}

test("a request that its runtime sends again is given a new connection", async () => {
  const one = await origin(hello);
  const agent = new Agent({ keepAlive: true });
  await Promise.all([send({ port: one.port, agent }), send({ port: one.port, agent })]);
  await until(() => agent.stats().free === 2);
  const given = await new Promise<Duplex | undefined>((resolve) => {
    // As Deno's node:http does it.
    const request = { onSocket: resolve, destroy: () => {}, _retrying: true };
    agent.addRequest(request as unknown as http.ClientRequest, { host: "127.0.0.1", port: one.port });
  });
  assert.is(agent.stats().free, 2);
  given!.destroy();
  agent.destroy();
  await one.close();
});

for (const runtime of [undefined, "node"] as const) {
  test(`own and foreign requests share connections, runtime: ${runtime}`, async () => {
    const one = await origin(hello);
    const agent = new Agent({ keepAlive: true, runtime });
    const url = `http://127.0.0.1:${one.port}/`;
    const own = async (): Promise<boolean> => {
      const { body, reusedSocket } = await agent.request(url);
      assert.is(await body.text(), "hello");
      return reusedSocket;
    };
    const foreign = async (): Promise<boolean> => {
      const outcome = await send({ port: one.port, agent });
      assert.is(outcome.body, "hello");
      await pause(1);
      return outcome.reused;
    };
    const reused = [await own(), await foreign(), await own(), await foreign(), await foreign(), await own()];
    assert.equal(reused, [false, true, true, true, true, true]);
    assert.is(one.accepted, 1);
    agent.destroy();
    await one.close();
  });
}

test("a refused connect is the request's error", async () => {
  const agent = new Agent({ keepAlive: true });
  const one = await origin(hello);
  await one.close();
  const { code } = await send({ port: one.port, agent });
  assert.is(code, "ECONNREFUSED");
  await until(() => agent.totalSocketCount === 0);
});

test("upgrade hands the stream over, which leaves the agent", async () => {
  const one = await origin(hello);
  one.server.on("upgrade", (_request, socket) => {
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\nfirst");
    socket.pipe(socket);
  });
  const http = await import("node:http");
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const request = http.get({
    host: "127.0.0.1",
    port: one.port,
    agent: agent as http.Agent,
    headers: { connection: "Upgrade", upgrade: "echo" },
  });
  const [, socket, head] = await new Promise<[unknown, import("node:stream").Duplex, Uint8Array]>((resolve) =>
    request.once("upgrade", (...args) => resolve(args as never))
  );
  assert.is(agent.totalSocketCount, 0);
  let text = new TextDecoder().decode(head);
  socket.on("data", (chunk: Uint8Array) => text += new TextDecoder().decode(chunk));
  socket.write("ping");
  await until(() => text === "firstping");
  assert.is((await send({ port: one.port, agent })).status, 200);
  socket.destroy();
  agent.destroy();
  await one.close();
});

test("destroy() of a queued request settles at once and leaves the queue (D7)", async () => {
  const held: http.ServerResponse[] = [];
  const one = await origin((_request, response) => void held.push(response));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const name = agent.getName({ host: "127.0.0.1", port: one.port });
  const first = send({ port: one.port, agent });
  await until(() => held.length === 1);
  const http = await import("node:http");
  const request = http.get({ host: "127.0.0.1", port: one.port, agent: agent as http.Agent });
  const closed = new Promise<string>((resolve) => {
    let code = "";
    request.on("error", (error: { code?: string }) => code = error.code ?? "");
    request.on("close", () => resolve(code));
  });
  assert.is(agent.requests[name]?.length, 1);
  request.destroy();
  assert.is(await closed, "ECONNRESET");
  assert.is(agent.requests[name], undefined);
  assert.is(Object.hasOwn(request, "destroy"), false);
  held[0]!.end("done");
  assert.is((await first).body, "done");
  agent.destroy();
  await one.close();
});

test.run();
