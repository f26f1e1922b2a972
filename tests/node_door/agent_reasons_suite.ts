/**
 * Why a connection ended, by each way to send a request: the reason that is told on the channel and counted is what happened,
 * as the server saw it, and the same for the same fault on every face.
 */
import { subscribe, unsubscribe } from "node:diagnostics_channel";
import * as http from "node:http";
import * as net from "node:net";
import * as assert from "uvu/assert";
import { Agent, type AgentOptions, CONNECTION_CHANNEL, type ConnectionEvent } from "@holdfast/agent";
import * as face from "@holdfast/agent/http";
import { listening } from "../harness/listening.ts";
import { suite } from "../harness/suite.ts";
import { until } from "./door_origin.ts";

const test = suite("Agent: why connections end");

interface Asked {
  readonly headers?: Record<string, string>;
  readonly signal?: AbortSignal;
}

/** One request to its end, whatever that is; `onResponse` when its head has come. */
type Send = (agent: Agent, port: number, asked: Asked) => Promise<void>;

const own: Send = async (agent, port, asked) => {
  try {
    const { body } = await agent.request(`http://127.0.0.1:${port}/`, { retry: false, ...asked });
    await body.text();
  } catch {
    // The reason is asked for elsewhere.
  }
};

const byRequest = (get: typeof http.get): Send => (agent, port, asked) =>
  new Promise((resolve) => {
    const request = get({ host: "127.0.0.1", port, agent, ...asked }, (response) => {
      response.on("error", () => {});
      response.resume();
    });
    request.on("error", () => {});
    request.on("close", () => resolve());
  });

const FACES: readonly [string, Send][] = [
  ["own", own],
  ["foreign", byRequest(http.get)],
  ["http face", byRequest(face.get as unknown as typeof http.get)],
];

interface Case {
  /** What the server does with a request. */
  readonly act: (socket: net.Socket) => void;
  readonly options?: AgentOptions;
  readonly asked?: Asked;
  /** What is done with the agent while the request is under way. */
  readonly during?: (agent: Agent, abort: () => void) => void;
  /** What is done with it behind the request. */
  readonly after?: (agent: Agent) => void;
  readonly reason: string | readonly string[];
}

const head = "HTTP/1.1 200 OK\r\n";
const ok = `${head}Content-Length: 2\r\n\r\nok`;
const answer = (text: string) => (socket: net.Socket): void => void socket.write(text);
const end = (text: string) => (socket: net.Socket): void => void socket.end(text);
const nothing = (): void => {};

const CASES: Readonly<Record<string, Case>> = {
  "the server says close": {
    act: answer(`${head}Connection: close\r\nContent-Length: 2\r\n\r\nok`),
    reason: "response-close",
  },
  "the server says close and closes": {
    act: end(`${head}Connection: close\r\nContent-Length: 2\r\n\r\nok`),
    reason: "response-close",
  },
  "the body ends with the connection": { act: end(`${head}\r\nok`), reason: "close-delimited" },
  "HTTP/1.0": { act: answer(`HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok`), reason: "http-1.0" },
  "the hint leaves no time": {
    act: answer(`${head}Keep-Alive: timeout=1\r\nContent-Length: 2\r\n\r\nok`),
    reason: "hint-expired",
  },
  "the hint allows no more": {
    act: answer(`${head}Keep-Alive: timeout=9, max=0\r\nContent-Length: 2\r\n\r\nok`),
    reason: "hint-max",
  },
  "the user says close": {
    act: answer(ok),
    asked: { headers: { connection: "close" } },
    reason: "request-close",
  },
  "nothing is kept": { act: answer(ok), options: { keepAlive: false }, reason: "request-close" },
  "nothing is parked": { act: answer(ok), options: { keepAlive: false, maxSockets: 1 }, reason: "not-kept" },
  "so many requests": { act: answer(ok), options: { maxRequestsPerSocket: 1 }, reason: "max-requests" },
  "so many parked": { act: answer(ok), options: { maxFreeSockets: 0 }, reason: "free-limit" },
  "it lay idle": { act: answer(ok), options: { idleTimeout: 1 }, reason: "expired" },
  "it was old": { act: answer(ok), options: { maxLifetime: 200 }, reason: "max-lifetime" },
  "FIN before the answer": { act: end(""), reason: "peer-closed" },
  "FIN in the midst of the head": { act: end("HTTP/1.1 2"), reason: "peer-closed" },
  "FIN behind an interim response": { act: end("HTTP/1.1 102 Processing\r\n\r\n"), reason: "peer-closed" },
  "FIN in the midst of the body": { act: end(`${head}Content-Length: 9\r\n\r\nok`), reason: "peer-closed" },
  "FIN behind the answer": {
    act: (socket) => {
      socket.write(ok);
      setTimeout(() => socket.end(), 5);
    },
    reason: "peer-closed",
  },
  "RST before the answer": { act: (socket) => void socket.resetAndDestroy(), reason: "ECONNRESET" },
  "RST behind the answer": {
    act: (socket) => {
      socket.write(ok);
      setTimeout(() => socket.resetAndDestroy(), 5);
    },
    reason: "ECONNRESET",
  },
  "bytes behind the answer": {
    act: (socket) => {
      socket.write(ok);
      setTimeout(() => socket.write("more"), 5);
    },
    reason: "surplus-bytes",
  },
  "bytes with the answer": { act: answer(`${ok}more`), reason: "surplus-bytes" },
  "FIN with the answer": { act: end(ok), reason: "peer-closed" },
  "not HTTP": { act: answer("HELLO\r\n\r\n"), reason: "protocol-error" },
  "aborted before the answer": { act: nothing, during: (_agent, abort) => abort(), reason: "aborted" },
  "the agent is destroyed under it": {
    act: nothing,
    during: (agent) => agent.destroy(),
    reason: "ERR_AGENT_DESTROYED",
  },
  "the agent is destroyed behind it": {
    act: answer(ok),
    after: (agent) => agent.destroy(),
    reason: "ERR_AGENT_DESTROYED",
  },
  "the agent is closed behind it": {
    act: answer(ok),
    after: (agent) => void agent.close(),
    reason: "agent-closed",
  },
  "closeIdle()": { act: answer(ok), after: (agent) => agent.closeIdle(), reason: "idle-closed" },
  "taken out": {
    act: answer(ok),
    after: (agent) => Object.values(agent.freeSockets).flat().forEach((one) => one?.emit("agentRemove")),
    reason: "detached",
  },
};

for (const [name, send] of FACES) {
  for (const [what, { act, options, asked, during, after, reason }] of Object.entries(CASES)) {
    test(`${what}, ${name}`, async () => {
      const reasons: string[] = [];
      const note = (message: unknown): void => {
        const event = message as ConnectionEvent;
        if (event.what !== "dial") reasons.push(event.reason);
      };
      const agent = new Agent({ keepAlive: true, ...options });
      const aborter = new AbortController();
      let streams: net.Socket[] = [];
      const server = net.createServer({ allowHalfOpen: false }, (socket) => {
        socket.once("data", () => {
          act(socket);
          if (during === undefined) return;
          streams = Object.values(agent.sockets).flat() as net.Socket[];
          setTimeout(() => during(agent, () => aborter.abort()), 5);
        });
      });
      const one = await listening(server);
      subscribe(CONNECTION_CHANNEL, note);
      try {
        await send(agent, one.port, { signal: aborter.signal, ...asked });
        if (after !== undefined) {
          await until(() => agent.stats().free === 1);
          streams = Object.values(agent.freeSockets).flat() as net.Socket[];
          after(agent);
        }
        await until(() => reasons.length > 0);
      } finally {
        unsubscribe(CONNECTION_CHANNEL, note);
      }
      assert.is(reasons.length, 1);
      assert.ok([reason].flat().includes(reasons[0]!), reasons[0]!);
      assert.is(Object.keys(agent.stats().closed)[0], reasons[0]);
      for (const stream of streams) stream.destroy();
      agent.destroy();
      await one.close();
    });
  }
}

const dead: readonly [string, AgentOptions, (agent: Agent, abort: () => void) => void, string][] = [
  ["connectTimeout", { connectTimeout: 5 }, nothing, "ETIMEDOUT"],
  ["an abort", {}, (_agent, abort) => abort(), "aborted"],
  ["destroy()", {}, (agent) => agent.destroy(), "ERR_AGENT_DESTROYED"],
];

for (const [name, send] of FACES) {
  for (const [what, options, during, reason] of dead) {
    test(`a connect that ${what} ends, ${name}`, async () => {
      const reasons: string[] = [];
      const note = (message: unknown): void => {
        const event = message as ConnectionEvent;
        if (event.what === "failed") reasons.push(event.reason);
      };
      // A name that is never found.
      const agent = new Agent(
        { keepAlive: true, lookup: nothing, host: "nowhere.invalid", ...options } as AgentOptions,
      );
      agent.options["host"] = "nowhere.invalid";
      const aborter = new AbortController();
      subscribe(CONNECTION_CHANNEL, note);
      try {
        const done = send(agent, 80, { signal: aborter.signal });
        setTimeout(() => during(agent, () => aborter.abort()), 5);
        await done;
        await until(() => reasons.length > 0);
      } finally {
        unsubscribe(CONNECTION_CHANNEL, note);
      }
      assert.equal(reasons, [reason]);
      agent.destroy();
    });
  }
}

test.run();
