/** Facts of orders that need more than one listener to see: the agent's, the socket's, what others are given and when. */
import type { Buffer } from "node:buffer";
import { AsyncLocalStorage } from "node:async_hooks";
import type { Agent, ClientRequest } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import {
  type Fact,
  type Facts,
  read,
  type Request,
  type Response,
  responseOf,
  show,
  told,
  wordsOf,
} from "./http_fact.ts";
import { ok } from "./http_origin.ts";

/** How many sockets and requests an agent shows. */
function held(agent: Agent): string {
  const sum = (lists: NodeJS.ReadOnlyDict<unknown[]>): number =>
    Object.values(lists).reduce((all, list) => all + list!.length, 0);
  const { totalSocketCount } = agent as unknown as { totalSocketCount: number };
  return show([sum(agent.sockets), sum(agent.freeSockets), sum(agent.requests), totalSocketCount]);
}

function events(request: Request, log: (line: string) => void): void {
  for (const event of ["abort", "continue", "drain", "finish", "prefinish", "socket", "timeout", "close"]) {
    request.on(event, () => log(event));
  }
  request.on("error", (error) => log(`error ${wordsOf(error)}`));
  request.on("information", ({ statusCode }) => log(`information ${statusCode}`));
  request.on("response", (response) => {
    log(`response ${response.statusCode}`);
    for (const event of ["aborted", "end", "close"]) response.on(event, () => log(`res ${event}`));
    response.on("error", (error) => log(`res error ${wordsOf(error)}`));
  });
}

const SWITCH = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nhead";
const AGENTS_EVENTS = ["free", "close", "timeout", "agentRemove"];

/** 'upgrade' and 'connect': what they are given, what the agent and the socket have left, and that the stream works. */
function handedOver(event: "upgrade" | "connect", answer: string): Fact {
  return {
    answer: (socket) => {
      socket.write(answer);
      socket.on("data", (chunk) => socket.write(`<${String(chunk)}>`));
    },
    play: async ({ ask, agent, log }) => {
      const request = ask(
        event === "connect"
          ? { method: "CONNECT", path: "a.test:1" }
          : { headers: { Connection: "Upgrade", Upgrade: "x" } },
      );
      events(request, log);
      request.on("socket", (socket) => {
        socket.on("agentRemove", () => log("agentRemove"));
        socket.on("close", () => log("socket close"));
      });
      const closed = told(request, "close");
      request.on(event, (response: Response, stream: Duplex, head: Buffer) => {
        log(`${event} ${response.statusCode} ${response.upgrade} ${response.complete} ${show(String(head))}`);
        log(show([stream === request.socket, response.socket === stream, request.res === response]));
        log(show([request.upgradeOrConnect, request.destroyed, stream.destroyed, held(agent)] as unknown[]));
        log(show(AGENTS_EVENTS.map((name) => stream.listenerCount(name))));
        stream.on("data", (chunk) => {
          log(`data ${String(chunk)}`);
          stream.end();
        });
        stream.write("ping");
      });
      request.end();
      await closed;
      log(held(agent));
      if (!request.socket!.destroyed) await told(request.socket!, "close");
    },
  };
}

/** What becomes of a connection that the server hands over where nobody listens. */
function unheard(options: Record<string, unknown>, answer: string): Fact {
  return {
    answer: (socket) => void socket.write(answer),
    play: async ({ ask, agent, log }) => {
      const request = ask(options);
      events(request, log);
      const closed = told(request, "close");
      request.on("response", (response) => response.resume());
      request.end();
      await closed;
      log(show([request.destroyed, held(agent)]));
    },
  };
}

const connections: Facts = {
  "order: a keep-alive POST, and its agent's 'free'": {
    play: async ({ ask, agent, log }) => {
      agent.on(
        "free",
        (socket: Socket, options: { host: string }) =>
          log(`free ${socket.destroyed} ${options.host} ${held(agent)}`),
      );
      const request = ask({ method: "POST" });
      events(request, log);
      await read(request.end("abc"));
      log(held(agent));
    },
  },
  "order: two requests of one connection": {
    agent: { maxSockets: 1 },
    play: async ({ ask, agent, log }) => {
      agent.on("free", () => log("free"));
      const all = [1, 2].map((number) => {
        const request = ask();
        events(request, (line) => log(`${number} ${line}`));
        return read(request.end());
      });
      log(held(agent));
      await Promise.all(all);
      log(held(agent));
    },
  },
  "order: upgrade": handedOver("upgrade", SWITCH),
  "order: connect": handedOver("connect", "HTTP/1.1 200 OK\r\n\r\nhead"),
  "order: connect, refused by the proxy": handedOver(
    "connect",
    "HTTP/1.1 407 No\r\nContent-Length: 2\r\n\r\nno",
  ),
  "order: 101 that nobody listens for": unheard({ headers: { Connection: "Upgrade", Upgrade: "x" } }, SWITCH),
  "order: CONNECT that nobody listens for": unheard({ method: "CONNECT", path: "a.test:1" }, ok()),
  "order: Upgrade that is answered by a response": unheard(
    { headers: { Connection: "Upgrade", Upgrade: "x" } },
    ok(),
  ),
  "order: 'agentRemove' while the response comes": {
    answer: (socket) => void socket.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbo"),
    agent: { maxSockets: 1 },
    play: async ({ ask, agent, origin, log }) => {
      const first = ask();
      events(first, log);
      const closed = told(first, "close");
      first.end();
      const response = await responseOf(first);
      const waits = ask().on("error", () => {});
      const reached = told(waits, "response");
      waits.end();
      log(held(agent));
      first.socket!.emit("agentRemove");
      log(held(agent));
      await reached;
      log(show([origin.connections, first.destroyed]));
      response.resume();
      waits.destroy();
      first.destroy();
      await closed;
    },
  },
  "order: 'agentRemove' before the end, and the connection is not kept": {
    play: async ({ ask, agent, log }) => {
      const request = ask();
      request.on("socket", (socket) => socket.emit("agentRemove"));
      const isRead = read(request.end());
      log(await isRead);
      log(held(agent));
    },
  },
  "order: agent.destroy() under a response": {
    answer: (socket) => void socket.write("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nbo"),
    play: async ({ ask, agent, log }) => {
      const request = ask();
      events(request, log);
      const closed = told(request, "close");
      request.end();
      (await responseOf(request)).resume();
      agent.destroy();
      await closed;
    },
  },
  "order: 'free' listeners before and behind the pooling": {
    agent: { maxSockets: 1 },
    play: async ({ ask, agent, log }) => {
      agent.on("free", () => log(`behind ${held(agent)}`));
      agent.prependListener("free", () => log(`before ${held(agent)}`));
      const all = [1, 2].map(() => {
        const request = ask();
        return read(request.end());
      });
      await Promise.all(all);
      await read(ask().end());
      log(held(agent));
    },
  },
  "order: a 'free' listener that ends the connection before it is pooled": {
    play: async ({ ask, agent, origin, log }) => {
      agent.prependListener("free", (socket: Socket) => void socket.destroy());
      await read(ask().end());
      const request = ask();
      await read(request.end());
      log(show([request.reusedSocket, origin.connections]));
    },
  },
  "order: the listeners of a kept socket, at 'response' and at 'free'": {
    play: async ({ ask, agent, log }) => {
      const count = (socket: Duplex): string =>
        show(["end", "error"].map((event) => socket.listenerCount(event)));
      agent.on("free", (socket: Duplex) => log(`free ${count(socket)}`));
      for (let i = 0; i < 2; i++) {
        const request = ask().on("response", ({ socket }) => log(`response ${count(socket)}`));
        await read(request.end());
      }
    },
  },
  "order: the agent's keepSocketAlive() and reuseSocket()": {
    play: async ({ ask, agent, log }) => {
      type Keeper = Agent & {
        keepSocketAlive(socket: Duplex): unknown;
        reuseSocket(socket: Duplex, request: unknown): void;
      };
      const keeper = agent as Keeper;
      const { keepSocketAlive, reuseSocket } = keeper;
      const asked: unknown[] = [];
      keeper.keepSocketAlive = (socket): unknown => {
        log("keepSocketAlive");
        return keepSocketAlive.call(agent, socket);
      };
      keeper.reuseSocket = (socket, request): void => {
        log(`reuseSocket ${request === asked[0]}`);
        reuseSocket.call(agent, socket, request as never);
      };
      await read(ask().end());
      const request = ask();
      asked.push(request);
      await read(request.end());
      log(show(request.reusedSocket));
    },
  },
};

const lost: Record<string, Fact> = {};
for (const how of ["destroy()", "destroy(error)", "a reset by the server"]) {
  for (const keepAlive of [true, false]) {
    let reset = (): void => {};
    const name = `order: ${how} under a response that is whole and unread, keepAlive: ${keepAlive}`;
    lost[name] = {
      agent: { keepAlive },
      answer: (socket) => {
        reset = (): void => void socket.resetAndDestroy();
        socket.write(ok());
      },
      play: async ({ ask, log }) => {
        const request = ask();
        request.on("error", (error) => log(`error ${wordsOf(error)}`));
        request.once("close", () => log("close"));
        const closed = told(request, "close");
        request.end();
        const response = await responseOf(request);
        for (const event of ["aborted", "end", "close", "error"]) {
          response.on(event, () => log(`res ${event}`));
        }
        await new Promise((resolve) => setTimeout(resolve, 10));
        if (how === "a reset by the server") reset();
        else response.socket.destroy(how === "destroy()" ? undefined : new Error("mine"));
        await closed;
        const isOver = told(response, "close");
        response.on("data", (chunk) => log(String(chunk)));
        await isOver;
      },
    };
  }
}

/** A request that has no answer yet is given up; what `giveUp` returns is called once it has closed. */
function givenUp(
  giveUp: (request: ClientRequest, log: (line: string) => void) => (() => void) | void,
): Facts[string] {
  return {
    answer: () => {},
    play: async ({ ask, log }) => {
      const request = ask();
      events(request, log);
      await told(request.end(), "finish");
      const closed = told(request, "close");
      const afterwards = giveUp(request, log);
      await closed;
      afterwards?.();
    },
  };
}

const given: Facts = {
  "order: a body that is written at the socket's 'connect' is with the socket": {
    answer: (socket) => void socket.pause(),
    play: async ({ ask, log }) => {
      const request = ask({ method: "POST" }).on("error", () => {});
      const connected = new Promise<void>((resolve) =>
        request.on("socket", (socket) =>
          socket.on("connect", () => {
            log(show([request.write("x".repeat(16 << 20)), socket.writableLength > 0]));
            resolve();
          }))
      );
      request.flushHeaders();
      await connected;
      request.destroy();
    },
  },
  "order: abort() twice": givenUp((request) => {
    request.abort();
    request.abort();
  }),
  "order: destroy() twice, with two errors": givenUp((request, log) => {
    request.destroy(new Error("first"));
    request.destroy(new Error("second"));
    return () => log(show(request.errored));
  }),
  "order: what 'information' is given": {
    answer: (socket) =>
      void socket.write(
        `HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\nlink: </b>\r\nX: 1\r\n\r\n${ok()}`,
      ),
    play: async ({ ask, log }) => {
      const request = ask();
      request.on("continue", (...args) => log(`continue ${args.length}`));
      request.on("information", (info) => log(show(info)));
      await read(request.end());
    },
  },
  "order: what a request's listeners are given": {
    play: async ({ ask, log }) => {
      const request = ask({ method: "POST" });
      for (const event of ["socket", "prefinish", "finish", "response", "close"]) {
        request.on(event, (...args: unknown[]) => log(`${event} ${args.length}`));
      }
      request.on("response", (response) => {
        for (const event of ["end", "close"]) {
          response.on(event, (...args: unknown[]) => log(`res ${event} ${args.length}`));
        }
      });
      await read(request.end("abc"));
    },
  },
  "order: callbacks of write() and end() beside events": {
    play: async ({ ask, log }) => {
      const request = ask({ method: "POST" });
      events(request, log);
      request.write("a", () => log("first"));
      request.write("b", "latin1", () => log("second"));
      request.end("c", () => log("last"));
      await read(request);
    },
  },
  "order: cork() and uncork() make one chunk": {
    play: async ({ ask, origin, log }) => {
      const request = ask({ method: "POST" });
      request.cork();
      request.cork();
      request.write("a");
      request.write("b");
      request.uncork();
      log(show(request.writableCorked));
      request.uncork();
      request.end("c");
      await read(request);
      log(show(origin.received[0]!.split("\r\n\r\n").slice(1)));
    },
  },
  "order: a store is kept through the queue": {
    agent: { maxSockets: 1 },
    play: async ({ ask, log }) => {
      const store = new AsyncLocalStorage<number>();
      await Promise.all([1, 2, 3].map((number) =>
        store.run(number, async () => {
          const request = ask();
          for (const event of ["socket", "finish", "response", "close"]) {
            request.on(event, () =>
              store.getStore() !== number && log(`${number} ${event} ${store.getStore()}`));
          }
          request.on("response", (response) =>
            response.on("end", () => log(`end ${store.getStore()}`)));
          await read(request.end());
        })
      ));
    },
  },
  "order: a 'response' listener that is added late": {
    play: async ({ ask, log }) => {
      const request = ask();
      events(request, log);
      request.removeAllListeners("response");
      await told(request.end(), "close");
      log(show([request.res?.complete, request.res?.destroyed]));
    },
  },
  "order: a 'close' listener and captureRejections": {
    play: async ({ ask, log }) => {
      const request = ask();
      const closed = told(request, "close");
      request.on("response", async (response) => {
        for await (const chunk of response) log(String(chunk));
        log(show([response.destroyed, response.complete]));
      });
      request.end();
      await closed;
    },
  },
  "order: a reader that breaks off": {
    answer: (socket) => void socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npart"),
    play: async ({ ask, log }) => {
      const request = ask();
      events(request, log);
      const closed = told(request, "close");
      request.end();
      for await (const chunk of await responseOf(request)) {
        log(String(chunk));
        break;
      }
      await closed;
    },
  },
};

/** See the file's comment. */
export const orderFacts: Facts = { ...connections, ...lost, ...given };
