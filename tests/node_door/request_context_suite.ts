/**
 * AsyncLocalStorage: whatever a request tells, it tells in the context that it was made in; on a new connection and on a used one,
 * at once and out of the queue, by the runtime's own client over our agent and by ours.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import * as nodeHttp from "node:http";
import * as assert from "uvu/assert";
import { Agent } from "@holdfast/agent";
import * as face from "@holdfast/agent/http";
import { suite } from "../harness/suite.ts";
import { origin, until } from "./door_origin.ts";

const test = suite("A request's asynchronous context");

const CLIENTS: readonly [string, typeof nodeHttp][] = [
  ["foreign", nodeHttp],
  ["http face", face as unknown as typeof nodeHttp],
];

const store = new AsyncLocalStorage<string>();

/** Sends a request in a context, and gives what was told in another. */
function strayOf(
  http: typeof nodeHttp,
  name: string,
  options: nodeHttp.RequestOptions & { readonly setTimeout?: number },
  body?: string,
): Promise<string[]> {
  return store.run(name, () =>
    new Promise((resolve) => {
      const stray: string[] = [];
      const note = (event: string): void => {
        if (store.getStore() !== name) stray.push(`${event} of ${name} in ${store.getStore()}`);
      };
      const request = http.request({ host: "127.0.0.1", method: "POST", ...options });
      for (const event of ["socket", "finish", "timeout", "error", "response"]) {
        request.on(event, () => note(event));
      }
      request.on("response", (response) => {
        for (const event of ["data", "end", "aborted", "error", "close"]) {
          response.on(event, () => note(`response's ${event}`));
        }
      });
      request.on("socket", (socket) => {
        if (http !== nodeHttp) return;
        for (const event of ["connect", "end", "close"]) socket.once(event, () => note(`socket's ${event}`));
      });
      request.on("close", () => {
        note("close");
        resolve(stray);
      });
      if (options.setTimeout !== undefined) {
        request.setTimeout(options.setTimeout, () => note("setTimeout's"));
      }
      if (body !== undefined) request.write(body, () => note("write's callback"));
      request.end(() => note("end's callback"));
    }));
}

const ANSWERS: Readonly<Record<string, nodeHttp.RequestListener>> = {
  "an answer": (request, response) => void request.resume().on("end", () => response.end("ok")),
  "an answer and its end": (_request, response) => void response.setHeader("connection", "close").end("ok"),
  "no answer": (request) => void request.socket.destroy(),
  "a part of an answer": (request, response) => {
    response.setHeader("content-length", 9).write("part");
    setTimeout(() => request.socket.destroy(), 10);
  },
  "an answer behind the timeout": (_request, response) => void setTimeout(() => response.end("ok"), 60),
};

for (const [client, http] of CLIENTS) {
  for (const [name, answer] of Object.entries(ANSWERS)) {
    for (const timeout of ["timeout", "setTimeout"]) {
      test(`${client}, ${name}, ${timeout}: all that a request is told is told in its context`, async () => {
        const one = await origin((request, response) => {
          if (request.url === "/keep") return void request.resume().on("end", () => response.end("ok"));
          answer(request, response);
        });
        const stray: string[] = [];
        for (const maxSockets of [Infinity, 1]) {
          const agent = new Agent({ keepAlive: true, maxSockets });
          const options = { port: one.port, agent, [timeout]: 30 };
          // So that what follows is told of a used connection as well.
          if (maxSockets === 1) {
            stray.push(...await strayOf(http, "0", { ...options, path: "/keep" }, "body"));
          }
          for (const told of [1, 2, 3].map((n) => strayOf(http, `${n}`, options, "body"))) {
            stray.push(...await told);
          }
          agent.destroy();
        }
        await one.close();
        assert.equal(stray, []);
      });
    }
  }

  test(`${client}: a connect that fails is told in its request's context`, async () => {
    const one = await origin(() => {});
    await one.close();
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const stray = await Promise.all([1, 2].map((n) => strayOf(http, `${n}`, { port: one.port, agent })));
    assert.equal(stray.flat(), []);
    agent.destroy();
  });

  test(`${client}: who is made to give up is told so in its own context`, async () => {
    const one = await origin(() => {});
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const held = strayOf(http, "held", { port: one.port, agent });
    await until(() => agent.stats().active === 1);
    const { signal, abort } = aborting();
    const queued = strayOf(http, "queued", { port: one.port, agent, signal });
    const left = strayOf(http, "left", { port: one.port, agent });
    assert.is(agent.stats().pending, 2);
    store.run("somebody else", abort);
    assert.equal(await queued, []);
    store.run("the agent's owner", () => agent.destroy());
    assert.equal([...await held, ...await left], []);
    await one.close();
  });
}

function aborting(): { signal: AbortSignal; abort: () => void } {
  const controller = new AbortController();
  return { signal: controller.signal, abort: () => controller.abort() };
}

test.run();
