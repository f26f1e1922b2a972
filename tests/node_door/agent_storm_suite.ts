/**
 * Storms: many requests, own and foreign, to several origins that misbehave at random, given up at random. The caps are
 * counted at the servers; everything settles; nothing is left. Everything but the timing follows from the seed, which a failure
 * names.
 */
import * as http from "node:http";
import * as net from "node:net";
import * as assert from "uvu/assert";
import { Agent, type AgentOptions } from "@holdfast/agent";
import { Random } from "../core/pool_fuzz.ts";
import { SEED } from "../harness/seed.ts";
import { suite } from "../harness/suite.ts";
import { type Origin, origin, pause, until } from "./door_origin.ts";

const test = suite("Agent in a storm");

/** Answers in the way that the path asks for. */
const moody: http.RequestListener = (request, response) => {
  request.on("error", () => {});
  response.on("error", () => {});
  const { socket } = request;
  const finish = (): void => {
    switch (new URL(request.url!, "http://a").pathname) {
      case "/close":
        return void response.writeHead(200, { connection: "close" }).end("closing");
      case "/hint":
        return void response.writeHead(200, { "keep-alive": "timeout=1" }).end("hint");
      case "/cut":
        response.write("half of it");
        return void setTimeout(() => socket.destroy(), 1);
      case "/drop":
        return void socket.destroy();
      case "/late-close":
        response.end("x");
        return void setTimeout(() => socket.end(), 1);
      default:
        return void response.end("fine");
    }
  };
  if (request.url!.includes("slow")) setTimeout(finish, 3);
  else finish();
};

const MOODS = ["ok", "ok", "ok", "slow", "close", "hint", "cut", "drop", "late-close"];

function requestForeign(agent: Agent, port: number, path: string, abortMs: number): Promise<void> {
  return new Promise((resolve) => {
    const request = http.request({ host: "127.0.0.1", port, path, agent }, (response) => {
      response.on("error", () => {});
      response.resume();
    });
    const timer = abortMs < 0 ? undefined : setTimeout(() => request.destroy(), abortMs);
    request.on("error", () => {});
    request.on("close", () => {
      clearTimeout(timer);
      resolve();
    });
    request.end();
  });
}

async function requestOwn(agent: Agent, port: number, path: string, abortMs: number): Promise<void> {
  const abort = new AbortController();
  const timer = abortMs < 0 ? undefined : setTimeout(() => abort.abort(), abortMs);
  try {
    const { body } = await agent.request(`http://127.0.0.1:${port}${path}`, {
      signal: abort.signal,
      retry: false,
    });
    await body.text();
  } catch {
    // Any outcome will do, as long as there is one.
  } finally {
    clearTimeout(timer);
  }
}

interface Counts {
  now: number;
  peak: number;
}

/** Counts a server's connections until it is done with them, into a sum over all servers as well. */
function count({ server }: Origin, total: Counts): Counts {
  const own: Counts = { now: 0, peak: 0 };
  server.on("connection", (socket: net.Socket) => {
    for (const counts of [own, total]) counts.peak = Math.max(counts.peak, ++counts.now);
    socket.on("error", () => {});
    socket.on("close", () => {
      for (const counts of [own, total]) counts.now--;
    });
  });
  return own;
}

async function storm(
  options: AgentOptions,
  seed: number,
  prepare?: (agent: Agent, random: Random) => void,
): Promise<void> {
  const random = new Random(seed);
  const total: Counts = { now: 0, peak: 0 };
  const origins = await Promise.all([1, 2, 3].map(() => origin(moody)));
  const each = origins.map((one) => count(one, total));
  const agent = new Agent({ keepAlive: true, maxSockets: 3, maxTotalSockets: 5, ...options });
  prepare?.(agent, random);
  const all: Promise<void>[] = [];
  for (let sent = 0; sent < 240; sent++) {
    const { port } = random.pick(origins);
    const path = `/${random.pick(MOODS)}?${random.once(3) ? "slow" : ""}`;
    const abortMs = random.once(5) ? random.below(12) : -1;
    all.push((random.once(2) ? requestOwn : requestForeign)(agent, port, path, abortMs));
    if (random.once(12)) await pause(random.below(4));
    if (random.once(60)) agent.closeIdle();
    assert.ok(agent.totalSocketCount <= 5, `seed ${seed}`);
  }
  await Promise.all(all);
  assert.equal(Object.keys(agent.requests), [], `seed ${seed}`);
  await until(() => Object.keys(agent.sockets).length === 0);
  for (const { peak } of each) {
    assert.ok(peak <= 3, `seed ${seed}: ${peak} connections to one origin`);
  }
  assert.ok(total.peak <= 5, `seed ${seed}: ${total.peak} connections`);
  agent.destroy();
  await until(() => agent.totalSocketCount === 0);
  await Promise.all(origins.map((one) => one.close()));
}

for (const runtime of [undefined, "node"] as const) {
  test(`settles everything within the caps, runtime: ${runtime}`, async () => {
    await storm({ runtime }, SEED);
  });
}

test("the same with an asynchronous createConnection that fails at random", async () => {
  await storm({}, SEED, (agent, random) => {
    agent.createConnection = (options, callback): undefined => {
      const { port } = options as { port: number };
      const fails = random.once(8);
      setTimeout(() => {
        if (fails) callback!(new Error("no luck"), undefined as never);
        else callback!(null, net.connect(port, "127.0.0.1"));
      }, random.below(6));
    };
  });
});

test("destroy() in the midst of it settles everything at once", async () => {
  const seed = SEED;
  const random = new Random(seed);
  const one = await origin(moody);
  const agent = new Agent({ keepAlive: true, maxSockets: 4 });
  for (let round = 0; round < 10; round++) {
    const all = Array.from({ length: 20 }, (_, n) => {
      const path = `/${random.pick(MOODS)}?slow`;
      return (n % 2 === 0 ? requestOwn : requestForeign)(agent, one.port, path, -1);
    });
    await pause(random.below(8));
    agent.destroy();
    await Promise.all(all);
    assert.equal(Object.keys(agent.requests), [], `seed ${seed}`);
    // As in Node, what was in use is there until it has closed.
    await until(() => Object.keys(agent.sockets).length === 0);
  }
  await until(() => agent.totalSocketCount === 0);
  await one.close();
});

test.run();
