import { Duplex } from "node:stream";
import * as net from "node:net";
import * as http from "node:http";
import * as assert from "uvu/assert";
import { Agent, type AgentOptions } from "@holdfast/agent";
import { suite } from "../harness/suite.ts";
import { origin, pause, send, until } from "../node_door/door_origin.ts";

const test = suite("Agent: Node's methods, replaced");

const hello: http.RequestListener = (_request, response) => void response.end("hello");

/** One request of ours. */
async function own(agent: Agent, port: number): Promise<[string, boolean]> {
  const { body, reusedSocket } = await agent.request(`http://127.0.0.1:${port}/`);
  return [await body.text(), reusedSocket];
}

/** One request of the runtime's own node:http. */
async function foreign(agent: Agent, port: number): Promise<[string, boolean]> {
  const { body, reused } = await send({ port, agent });
  await until(() => Object.keys(agent.sockets).length === 0);
  return [body, reused];
}

/** What is written goes to `inner`, what comes is its. */
function over(inner: net.Socket): Duplex {
  const outer = new Duplex({
    read: (): void => void inner.resume(),
    write: (chunk, _encoding, done): void => void inner.write(chunk, done),
    final: (done): void => void inner.end(done),
    destroy: (error, done): void => {
      inner.destroy();
      done(error);
    },
  });
  inner.on("data", (chunk) => {
    if (!outer.push(chunk)) inner.pause();
  });
  inner.on("end", () => outer.push(null));
  inner.on("error", (error) => outer.destroy(error));
  inner.on("close", () => outer.destroy());
  return outer;
}

type Dial = (port: number) => unknown;

const DIALS: readonly [string, (agent: Agent) => void][] = [
  ["returns a stream", (agent) => {
    agent.createConnection = (options) => net.connect((options as { port: number }).port, "127.0.0.1");
  }],
  ["returns one over the default's, which calls back too", (agent) => {
    const connect = agent.createConnection;
    agent.createConnection = (options, callback): Duplex => over(connect(options, callback) as net.Socket);
  }],
  ["calls back with a stream at once", (agent) => {
    agent.createConnection = (options, callback): undefined => {
      callback!(null, net.connect((options as { port: number }).port, "127.0.0.1"));
    };
  }],
  ["calls back with a connected stream later", (agent) => {
    agent.createConnection = (options, callback): undefined => {
      const stream = net.connect((options as { port: number }).port, "127.0.0.1");
      stream.once("connect", () => callback!(null, stream));
    };
  }],
  ["returns a promise of a stream", (agent) => {
    const dial: Dial = async (port) => {
      await pause(1);
      return net.connect(port, "127.0.0.1");
    };
    agent.createConnection = ((options: { port: number }) => dial(options.port)) as never;
  }],
  ["calls the default one", (agent) => {
    const { createConnection } = Agent.prototype;
    agent.createConnection = (options, callback): Duplex => createConnection.call(agent, options, callback)!;
  }],
  ["returns one stream and calls back with another", (agent) => {
    agent.createConnection = (options, callback): Duplex => {
      const { port } = options as { port: number };
      setTimeout(() => callback!(null, net.connect(port, "127.0.0.1")), 5);
      return net.connect(port, "127.0.0.1");
    };
  }],
];

for (const [what, replace] of DIALS) {
  test(`createConnection that ${what} serves own and foreign requests`, async () => {
    const one = await origin(hello);
    const agent = new Agent({ keepAlive: true, maxSockets: 2 });
    replace(agent);
    const all = [
      await own(agent, one.port),
      await foreign(agent, one.port),
      await own(agent, one.port),
      await foreign(agent, one.port),
    ];
    assert.equal(all, [["hello", false], ["hello", true], ["hello", true], ["hello", true]]);
    await pause(10);
    assert.is(one.sockets.size, 1);
    agent.destroy();
    await one.close();
  });
}

type Default = (callback: (error: Error | null, stream?: Duplex) => void) => Duplex;

const ABANDONING: readonly [string, (connect: Default, callback: (error: Error) => void) => unknown][] = [
  ["calls the default twice", (connect, callback) => {
    connect(callback as never);
    connect(callback as never);
  }],
  ["calls back with an error while the default connects", (connect, callback) => {
    connect(callback as never);
    callback(new Error("too slow"));
  }],
  ["throws after it called the default", (connect, callback) => {
    connect(callback as never);
    throw new Error("no");
  }],
  ["returns the default's second stream over its first", (connect, callback) => {
    connect(callback as never);
    return connect(() => {});
  }],
];

for (const [what, dial] of ABANDONING) {
  test(`createConnection that ${what} leaves no stream open`, async () => {
    const one = await origin(hello);
    const agent = new Agent({ keepAlive: true });
    const { createConnection } = agent;
    agent.createConnection = ((options: never, callback: never) =>
      dial((called) =>
        createConnection(options, called as never)!, callback)) as never;
    await own(agent, one.port).catch(() => {});
    await pause(20);
    await agent.close();
    await until(() => one.sockets.size === 0);
    await one.close();
  });
}

for (
  const [what, createConnection] of [
    ["throws", (): never => {
      throw Object.assign(new Error("no"), { code: "ENO" });
    }],
    [
      "calls back with an error at once",
      (_: unknown, callback: (error: Error) => void): void =>
        callback(Object.assign(new Error("no"), { code: "ENO" })),
    ],
    [
      "calls back with an error later",
      (_: unknown, callback: (error: Error) => void): void =>
        void setTimeout(() => callback(Object.assign(new Error("no"), { code: "ENO" })), 2),
    ],
    ["rejects", (): Promise<never> => Promise.reject(Object.assign(new Error("no"), { code: "ENO" }))],
  ] as const
) {
  test(`createConnection that ${what} fails its request alone and gives the slot back`, async () => {
    const one = await origin(hello);
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    agent.createConnection = createConnection as never;
    const failed = await Promise.allSettled([own(agent, one.port), own(agent, one.port)]);
    assert.equal(failed.map((one) => one.status === "rejected" && one.reason.code), ["ENO", "ENO"]);
    assert.is((await send({ port: one.port, agent })).code, "ENO");
    assert.is(agent.totalSocketCount, 0);
    Reflect.deleteProperty(agent, "createConnection");
    assert.equal(await own(agent, one.port), ["hello", false]);
    agent.destroy();
    await one.close();
  });
}

test("the default createConnection is named connect, works by itself, and takes net.createConnection's signatures", async () => {
  const one = await origin(hello);
  const { createConnection } = new Agent();
  assert.is(createConnection.name, "connect");
  const dial = createConnection as unknown as (...args: unknown[]) => net.Socket;
  const { port } = one;
  for (const args of [[{ port, host: "127.0.0.1" }], [port, "127.0.0.1"], [port]]) {
    const called: unknown[] = await new Promise((resolve) =>
      dial(...args, (...given: unknown[]) => resolve(given))
    );
    assert.is(called[0], null);
    assert.instance(called[1], net.Socket);
    (called[1] as net.Socket).destroy();
  }
  const refused = await origin(hello);
  await refused.close();
  const error = await new Promise((resolve) => dial({ port: refused.port, host: "127.0.0.1" }, resolve));
  assert.is((error as { code?: string }).code, "ECONNREFUSED");
  await one.close();
});

for (const [where, make] of [["a subclass", subclassed], ["the instance", assigned]] as const) {
  test(`keepSocketAlive and reuseSocket of ${where} are called with the stream, once each time`, async () => {
    const one = await origin(hello);
    const { agent, calls } = make({ keepAlive: true });
    await own(agent, one.port);
    assert.equal(calls.splice(0), ["keep"]);
    await own(agent, one.port);
    await foreign(agent, one.port);
    assert.equal(calls, ["reuse", "keep", "reuse", "keep"]);
    agent.destroy();
    await one.close();
  });
}

interface Watched {
  agent: Agent;
  calls: string[];
}

function subclassed(options: AgentOptions): Watched {
  const calls: string[] = [];
  class Mine extends Agent {
    override keepSocketAlive(socket: Duplex): boolean {
      calls.push("keep");
      assert.ok(typeof socket.write === "function");
      return super.keepSocketAlive(socket);
    }
    override reuseSocket(socket: Duplex, request: never): void {
      calls.push("reuse");
      super.reuseSocket(socket, request);
    }
  }
  return { agent: new Mine(options), calls };
}

function assigned(options: AgentOptions): Watched {
  const calls: string[] = [];
  const agent = new Agent(options);
  agent.keepSocketAlive = (): boolean => calls.push("keep") > 0;
  agent.reuseSocket = (): void => void calls.push("reuse");
  return { agent, calls };
}

test("keepSocketAlive that returns nothing has the connection closed", async () => {
  const one = await origin(hello);
  const agent = new Agent({ keepAlive: true });
  agent.keepSocketAlive = (() => {}) as never;
  assert.equal([await own(agent, one.port), await foreign(agent, one.port)], [["hello", false], [
    "hello",
    false,
  ]]);
  assert.is(one.accepted, 2);
  await until(() => agent.totalSocketCount === 0);
  await one.close();
});

test("getName of a subclass decides what maxSockets counts, and nothing else", async () => {
  const one = await origin(hello);
  class Mine extends Agent {
    override getName(): string {
      return "all";
    }
  }
  const agent = new Mine({ keepAlive: true, maxSockets: 1 });
  await own(agent, one.port);
  assert.equal(Object.keys(agent.freeSockets), ["all"]);
  const other = await origin(hello);
  // Another peer under the same name: never over the first one's connection.
  assert.equal(await own(agent, other.port), ["hello", false]);
  assert.equal(await foreign(agent, one.port), ["hello", false]);
  assert.equal([one.accepted, other.accepted, agent.totalSocketCount], [2, 1, 1]);
  agent.destroy();
  await Promise.all([one.close(), other.close()]);
});

test("an agent that enters a stand-in for what it is making, as agent-base does, finds it again", async () => {
  const one = await origin(hello);
  const agent = new Agent({ keepAlive: true, maxSockets: 2 });
  const sockets = agent.sockets as Record<string, unknown[] | undefined>;
  const { createSocket } = agent;
  agent.createSocket = (request, options, callback): void => {
    const name = agent.getName(options);
    const standIn = new net.Socket();
    (sockets[name] ??= []).push(standIn);
    setTimeout(() => {
      const list = sockets[name] ?? [];
      if (list.includes(standIn)) list.splice(list.indexOf(standIn), 1);
      if (list.length === 0) delete sockets[name];
      createSocket.call(agent, request, options, callback);
    }, 2);
  };
  const all = await Promise.all([own(agent, one.port), own(agent, one.port), own(agent, one.port)]);
  assert.equal(all.map(([body]) => body), ["hello", "hello", "hello"]);
  assert.ok(one.peak <= 2, `${one.peak}`);
  assert.equal(Object.keys(sockets), []);
  agent.destroy();
  await one.close();
});

test("createSocket and addRequest of a subclass are called", async () => {
  const one = await origin(hello);
  const calls: string[] = [];
  class Mine extends Agent {
    override addRequest(...args: Parameters<Agent["addRequest"]>): void {
      calls.push("addRequest");
      super.addRequest(...args);
    }
    override createSocket(...args: Parameters<Agent["createSocket"]>): void {
      calls.push("createSocket");
      super.createSocket(...args);
    }
  }
  const agent = new Mine({ keepAlive: true });
  assert.equal(await foreign(agent, one.port), ["hello", false]);
  assert.equal(calls.splice(0), ["addRequest", "createSocket"]);
  agent.closeIdle();
  assert.equal(await own(agent, one.port), ["hello", false]);
  assert.equal(calls, ["createSocket"]);
  agent.destroy();
  await one.close();
});

test("removeSocket of a subclass is called when a connection leaves, and the default takes it out", async () => {
  const one = await origin(hello);
  const removed: unknown[] = [];
  class Mine extends Agent {
    override removeSocket(socket: Duplex, options?: object): void {
      removed.push(socket);
      super.removeSocket(socket, options);
    }
  }
  const agent = new Mine({ keepAlive: true });
  await foreign(agent, one.port);
  const [stream] = Object.values(agent.freeSockets)[0]!;
  agent.removeSocket(stream!);
  assert.is(agent.totalSocketCount, 0);
  assert.is(stream!.destroyed, false);
  assert.ok(removed.includes(stream));
  stream!.destroy();
  await one.close();
});

test("'agentRemove' lets a request go on and frees its slot", async () => {
  const held: http.ServerResponse[] = [];
  const one = await origin((_request, response) => void held.push(response));
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const request = http.get({ host: "127.0.0.1", port: one.port, agent });
  const body = new Promise<string>((resolve) =>
    request.on("response", async (response) => {
      let text = "";
      for await (const chunk of response) text += chunk;
      resolve(text);
    })
  );
  const second = send({ port: one.port, agent });
  await until(() => held.length === 1);
  request.socket!.emit("agentRemove");
  await until(() => held.length === 2);
  for (const response of held) response.end("done");
  assert.equal([await body, (await second).body], ["done", "done"]);
  await until(() => agent.totalSocketCount === 1);
  agent.destroy();
  await one.close();
});

test("'free' emitted by hand with a stream of one's own parks it", async () => {
  const one = await origin(hello);
  const agent = new Agent({ keepAlive: true });
  const stream = net.connect(one.port, "127.0.0.1");
  await new Promise((resolve) => stream.once("connect", resolve));
  agent.emit("free", stream, { host: "127.0.0.1", port: one.port });
  await until(() => Object.keys(agent.freeSockets).length === 1);
  assert.is(Object.values(agent.freeSockets)[0]![0], stream);
  assert.equal(await foreign(agent, one.port), ["hello", true]);
  assert.is(one.accepted, 1);
  agent.destroy();
  await one.close();
});

test("a stream in use that is destroyed by its user gives its slot back", async () => {
  const one = await origin(() => {});
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  const failed = agent.request(`http://127.0.0.1:${one.port}/`).catch(({ code }) => code);
  await until(() => one.paths.length === 1);
  Object.values(agent.sockets)[0]![0]!.destroy();
  assert.is(await failed, "ECONNRESET");
  assert.is(agent.totalSocketCount, 0);
  await one.close();
});

test.run();
