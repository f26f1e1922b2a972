/**
 * The defects of Node's http.Agent (D1 to D15 of the design), each as a test that any agent can be put to: ours by the
 * suite, the runtime's own by bench/pool_defects.ts, which prints the table of the README.
 */
import type * as http from "node:http";
import * as net from "node:net";
import * as assert from "uvu/assert";
import { staleOrigin } from "./stale_client.ts";
import { type Origin, origin, type Outcome, pause, send, until } from "./door_origin.ts";

/** Options of ours beside Node's: the runtime's own agent ignores them. */
export type KitOptions = http.AgentOptions & {
  maxPending?: number;
  queueTimeout?: number;
  connectTimeout?: number;
};

/** Who is put to the test. */
export interface Kit {
  /** Makes an agent for the runtime's own http.request. */
  agent(options: KitOptions): http.Agent;
  /** One GET or POST by the client that belongs to the agent: our own face, or the runtime's http.request. */
  call(agent: http.Agent, port: number, options?: CallOptions): Promise<Called>;
}

/** What a client is asked for. */
export interface CallOptions {
  /** Default "GET". */
  method?: string;
  /** Leave the response unread. */
  unread?: boolean;
  /** How long the head, or a body that nobody reads, may take, ms; the runtime's own has no such time. */
  timeoutMs?: number;
}

/** What came of it. */
export type Called = Pick<Outcome, "status" | "body" | "code" | "reused">;

/** One defect. */
export interface Defect {
  readonly id: string;
  readonly what: string;
  /** Throws where the agent has the defect; may hang, for which the caller has a timer. */
  readonly run: (kit: Kit) => Promise<void>;
}

/** A sum of connections over several origins, as their servers count them. */
class Peak {
  #now = 0;
  highest = 0;

  watch({ server }: Origin): void {
    server.on("connection", (socket) => {
      this.highest = Math.max(this.highest, ++this.#now);
      let isOver = false;
      const over = (): void => {
        if (!isOver) this.#now--;
        isOver = true;
      };
      socket.on("end", over);
      socket.on("close", over);
    });
  }
}

async function withOrigins(
  count: number,
  answer: http.RequestListener,
  body: (...origins: Origin[]) => Promise<void>,
): Promise<void> {
  const origins = await Promise.all(Array.from({ length: count }, () => origin(answer)));
  try {
    await body(...origins);
  } finally {
    await Promise.all(origins.map((one) => one.close()));
  }
}

const hello: http.RequestListener = (_request, response) => void response.end("hello");

async function d1(kit: Kit): Promise<void> {
  await withOrigins(2, hello, async (a, b) => {
    const agent = kit.agent({ keepAlive: true, maxTotalSockets: 1 });
    try {
      assert.is((await send({ port: a!.port, agent })).status, 200);
      assert.is((await send({ port: b!.port, agent })).status, 200);
    } finally {
      agent.destroy();
    }
  });
}

async function d2(kit: Kit): Promise<void> {
  await withOrigins(3, hello, async (...origins) => {
    const peak = new Peak();
    for (const one of origins) peak.watch(one);
    const agent = kit.agent({ keepAlive: true, maxTotalSockets: 2 });
    try {
      const all = Array.from({ length: 90 }, (_, n) => send({ port: origins[n % 3]!.port, agent }));
      for (const { status } of await Promise.all(all)) assert.is(status, 200);
      assert.ok(peak.highest <= 2, `${peak.highest} connections at once, 2 allowed`);
    } finally {
      agent.destroy();
    }
  });
}

async function d3(kit: Kit): Promise<void> {
  await withOrigins(2, (_request, response) => void setTimeout(() => response.end("x"), 2), async (a, b) => {
    const agent = kit.agent({ keepAlive: true, maxTotalSockets: 1 });
    let isServed = false;
    let served = 0;
    const load = async (): Promise<void> => {
      while (!isServed && served < 300) {
        await send({ port: a!.port, agent });
        served++;
      }
    };
    const loads = Promise.all([load(), load(), load()]);
    await until(() => served > 5);
    const before = served;
    const late = send({ port: b!.port, agent }).then(({ status }) => {
      isServed = true;
      return status;
    });
    try {
      await loads;
      assert.ok(isServed && served - before < 100, `${served - before} later requests were served before it`);
      assert.is(await late, 200);
    } finally {
      agent.destroy();
    }
  });
}

async function d4(kit: Kit): Promise<void> {
  await withOrigins(1, hello, async (one) => {
    const agent = kit.agent({ keepAlive: true, maxSockets: 2 });
    agent.createConnection = (options, callback): undefined => {
      const { port } = options as { port: number };
      setTimeout(() => callback!(null, net.connect(port, "127.0.0.1")), 10);
    };
    try {
      const all = Array.from({ length: 8 }, () => send({ port: one!.port, agent }));
      for (const { status } of await Promise.all(all)) assert.is(status, 200);
      assert.ok(one!.peak <= 2, `${one!.peak} connections at once, 2 allowed`);
    } finally {
      agent.destroy();
    }
  });
}

async function d5(kit: Kit): Promise<void> {
  let hint = "";
  const answer: http.RequestListener = (_request, response) =>
    void response.writeHead(200, { connection: "keep-alive", "keep-alive": hint }).end("x");
  await withOrigins(1, answer, async (one) => {
    for (hint of ["max=100, timeout=1", "TIMEOUT=1", "timeout=1", "max=0"]) {
      const agent = kit.agent({ keepAlive: true });
      const name = agent.getName({ host: "127.0.0.1", port: one!.port });
      await send({ port: one!.port, agent });
      await pause(20);
      const left = agent.freeSockets[name]?.length ?? 0;
      agent.destroy();
      assert.is(left, 0, `parked in spite of "${hint}"`);
    }
    hint = "timeout=2";
    const agent = kit.agent({ keepAlive: true });
    const name = agent.getName({ host: "127.0.0.1", port: one!.port });
    await send({ port: one!.port, agent });
    await pause(20);
    const parked = agent.freeSockets[name]?.length;
    await pause(1_200);
    const left = agent.freeSockets[name]?.length ?? 0;
    agent.destroy();
    assert.equal([parked, left], [1, 0], "parked for longer than the hint allows");
  });
}

async function d6(kit: Kit): Promise<void> {
  let delayMs = 0;
  const answer: http.RequestListener = (_request, response) =>
    void setTimeout(() => {
      response.writeHead(200, { connection: "keep-alive", "keep-alive": "timeout=2" }).end("x");
    }, delayMs);
  await withOrigins(1, answer, async (one) => {
    const agent = kit.agent({ keepAlive: true, timeout: 30_000 });
    try {
      await send({ port: one!.port, agent });
      await pause(20);
      delayMs = 1_300;
      const { status, reused, events } = await send({ port: one!.port, agent });
      assert.equal([status, reused, events.includes("timeout")], [200, true, false]);
    } finally {
      agent.destroy();
    }
  });
}

async function d7(kit: Kit): Promise<void> {
  const held: http.ServerResponse[] = [];
  await withOrigins(1, (_request, response) => void held.push(response), async (one) => {
    const agent = kit.agent({ keepAlive: true, maxSockets: 1 });
    const name = agent.getName({ host: "127.0.0.1", port: one!.port });
    const first = send({ port: one!.port, agent });
    await until(() => held.length === 1);
    const abort = new AbortController();
    let code: string | undefined;
    const second = send({ port: one!.port, agent, signal: abort.signal }).then((outcome) =>
      code = outcome.code
    );
    abort.abort();
    await pause(50);
    const settled = code;
    const left = agent.requests[name]?.length ?? 0;
    held[0]!.end("x");
    await first;
    await pause(10);
    agent.destroy();
    for (const response of held) response.end();
    await second;
    assert.equal([settled, left], ["ABORT_ERR", 0]);
  });
}

async function d8(kit: Kit): Promise<void> {
  await withOrigins(1, () => {}, async (one) => {
    const agent = kit.agent({ keepAlive: true, maxSockets: 1 });
    const all = [1, 2, 3].map(() => send({ port: one!.port, agent }));
    await until(() => one!.paths.length === 1);
    agent.destroy();
    const settled = await Promise.race([Promise.all(all), pause(200)]);
    const { accepted, paths } = one!;
    while (Object.keys(agent.sockets).length > 0) {
      agent.destroy();
      await pause(5);
    }
    assert.ok(settled !== undefined, "queued requests are still pending after destroy()");
    assert.equal([accepted, paths.length], [1, 1], "a queued request was sent after destroy()");
  });
}

async function d9(kit: Kit): Promise<void> {
  await withOrigins(1, hello, async (one) => {
    const agent = kit.agent({ keepAlive: true });
    try {
      for (let round = 0; round < 20; round++) {
        const { status, code } = await kit.call(agent, one!.port);
        assert.is(status, 200, `round ${round}: ${code}`);
        await pause(2);
        // The FIN is in our kernel before the next request is made, and nobody has polled for it.
        for (const socket of one!.sockets) socket.destroy();
      }
    } finally {
      agent.destroy();
    }
  });
}

async function d10(kit: Kit): Promise<void> {
  const one = await staleOrigin();
  const agent = kit.agent({ keepAlive: true });
  try {
    for (let round = 1; round <= 20; round++) {
      const { status } = await kit.call(agent, one.port);
      assert.is(status, 200, `round ${round}`);
      one.block(round);
    }
  } finally {
    agent.destroy();
    await one.close();
  }
}

async function d11(kit: Kit): Promise<void> {
  await withOrigins(1, () => {}, async (one) => {
    const agent = kit.agent({ keepAlive: true, maxSockets: 1, maxPending: 1, queueTimeout: 30 });
    const first = send({ port: one!.port, agent });
    const second = send({ port: one!.port, agent });
    const third = send({ port: one!.port, agent });
    const codes = await Promise.race([Promise.all([second, third]), pause(500)]);
    while (Object.keys(agent.sockets).length > 0) {
      agent.destroy();
      await pause(5);
    }
    await Promise.all([first, second, third]);
    assert.equal(codes?.map(({ code }) => code), ["ETIMEDOUT", "ERR_POOL_QUEUE_FULL"]);
  });
}

async function d12(kit: Kit): Promise<void> {
  const agent = kit.agent({ keepAlive: true });
  agent.createConnection = (): never => {
    throw Object.assign(new Error("no way there"), { code: "ENOWAY" });
  };
  const { code } = await send({ port: 1, agent });
  assert.is(code, "ENOWAY");
}

async function d13(kit: Kit): Promise<void> {
  const big: http.RequestListener = (request, response) =>
    void response.end(request.url === "/" ? "x".repeat(4_000_000) : "x");
  await withOrigins(1, big, async (one) => {
    const agent = kit.agent({ keepAlive: true, maxSockets: 1 });
    try {
      await kit.call(agent, one!.port, { unread: true, timeoutMs: 100 });
      const { status } = await Promise.race([
        kit.call(agent, one!.port, { unread: true, timeoutMs: 100 }),
        pause(1_000).then(() => ({ status: undefined })),
      ]);
      assert.is(status, 200, "the next request waits for ever");
    } finally {
      agent.destroy();
    }
  });
}

async function d14(kit: Kit): Promise<void> {
  await withOrigins(1, hello, async (one) => {
    const agent = kit.agent({ keepAlive: true });
    const name = agent.getName({ host: "127.0.0.1", port: one!.port });
    try {
      await send({ port: one!.port, agent });
      await until(() => agent.freeSockets[name]?.length === 1);
      for (const socket of one!.sockets) socket.write("surprise");
      await pause(50);
      assert.is(agent.freeSockets[name]?.length ?? 0, 0);
    } finally {
      agent.destroy();
    }
  });
}

async function d15(kit: Kit): Promise<void> {
  const never = kit.agent({ connectTimeout: 30 });
  never.createConnection = (): undefined => undefined;
  const connecting = await Promise.race([send({ port: 1, agent: never }), pause(500)]);
  assert.is(connecting?.code, "ETIMEDOUT", "no time for the connect");
  await withOrigins(1, () => {}, async (one) => {
    const agent = kit.agent({});
    const waiting = await Promise.race([kit.call(agent, one!.port, { timeoutMs: 30 }), pause(500)]);
    agent.destroy();
    assert.is(waiting?.code, "ETIMEDOUT", "no time for the response's head");
  });
}

/** All of them but D16, which is the dialler's. */
export const DEFECTS: readonly Defect[] = [
  { id: "D1", what: "an idle connection elsewhere fills maxTotalSockets", run: d1 },
  { id: "D2", what: "maxTotalSockets is exceeded between origins", run: d2 },
  { id: "D3", what: "another origin's load starves a request", run: d3 },
  { id: "D4", what: "maxSockets is exceeded by an asynchronous createConnection", run: d4 },
  { id: "D5", what: "the server's Keep-Alive hint is ignored", run: d5 },
  { id: "D6", what: "the idle timer stays on a reused connection", run: d6 },
  { id: "D7", what: "an aborted request stays in the queue", run: d7 },
  { id: "D8", what: "destroy() leaves the queue alone", run: d8 },
  { id: "D9", what: "a GET is lost on a connection that the server has closed", run: d9 },
  { id: "D10", what: "bytes that came unasked answer the next request", run: d10 },
  { id: "D11", what: "the queue has no bound and no timeout", run: d11 },
  { id: "D12", what: "createConnection's exception is not the request's error", run: d12 },
  { id: "D13", what: "an unread response holds its connection for ever", run: d13 },
  { id: "D14", what: "a parked connection that got bytes stays pooled", run: d14 },
  { id: "D15", what: "no time limit for the connect and the head", run: d15 },
];
