/**
 * Scenes that http_order.ts's situations do not hold: every form of 'timeout', backpressure both ways, and an upload that is
 * answered before its end. Each is a request and everything that it tells, as a line of text; nothing in it depends on time.
 */
import type { Socket } from "node:net";
import type { OrderKit } from "./http_order.ts";
import { ok, type WireOrigin, wireOrigin } from "./http_origin.ts";

interface AnyEmitter {
  on(event: string, listener: (...args: unknown[]) => void): unknown;
  once(event: string, listener: (...args: unknown[]) => void): unknown;
}

interface AnyRequest extends AnyEmitter {
  write(chunk: string): boolean;
  end(chunk?: string): unknown;
  destroy(error?: Error): unknown;
  setTimeout(ms: number, callback?: () => void): unknown;
  readonly writableNeedDrain: boolean;
}

interface AnyResponse extends AnyEmitter {
  resume(): unknown;
  pause(): unknown;
  read(): unknown;
  setTimeout(ms: number, callback?: () => void): unknown;
  readonly statusCode: number;
}

/** What plays a scene. */
interface Play {
  readonly request: AnyRequest;
  readonly log: string[];
  /** The server's end of the connection, once it has read a head. */
  readonly served: Promise<Socket>;
  /** The scene is over: `close` has come of all, or nothing more will. */
  readonly over: () => void;
}

interface Scene {
  /** What the server does with a head; default: nothing. */
  readonly answer?: (socket: Socket) => void;
  readonly options?: Record<string, unknown>;
  readonly agent?: Record<string, unknown>;
  /** The response is read; default: by the scene, or not at all. */
  readonly reads?: boolean;
  /** What the client does; the request has been made and nothing sent. */
  readonly play: (play: Play) => void | Promise<void>;
}

/** Time of inactivity, ms: the server has answered long before. */
const SOON_MS = 250;
/** Whatever is told behind the last. */
const REST_MS = 15;
const PATIENCE_MS = 10_000;
const HEAD = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody";
const PIECE = "x".repeat(64 * 1024);
const MEGABYTES = "y".repeat(8 << 20);

const stalls = (socket: Socket): void => void socket.write(HEAD);
const whole = (socket: Socket): void => void socket.write(ok("body"));

/** Ends the scene at the first 'timeout', by `then`. */
function atTimeout(play: Play, then: "destroy" | "destroyError" | "nothing"): void {
  play.request.once("timeout", () => {
    if (then === "nothing") return play.over();
    play.request.destroy(then === "destroyError" ? new Error("late") : undefined);
    play.request.once("close", play.over);
  });
}

const timeouts: Record<string, Scene> = {};
for (const then of ["nothing", "destroy", "destroyError"] as const) {
  for (const [server, answer] of [["silent", undefined], ["stalls", stalls]] as const) {
    const add = (form: string, scene: Omit<Scene, "answer">): void => {
      timeouts[`timeout ${form}, ${server}, then ${then}`] = { ...answer && { answer }, ...scene };
    };
    const ends = (before: (play: Play) => void) => (play: Play): void => {
      before(play);
      atTimeout(play, then);
      play.request.end();
    };
    add("by option", { options: { timeout: SOON_MS }, play: ends(() => {}) });
    add("by the agent's option", { agent: { timeout: SOON_MS }, play: ends(() => {}) });
    add("by setTimeout()", { play: ends(({ request }) => void request.setTimeout(SOON_MS)) });
    add("by setTimeout() with a callback", {
      play: ends(({ request, log }) => void request.setTimeout(SOON_MS, () => log.push("callback"))),
    });
    add("by setTimeout() at 'socket'", {
      play: ends(({ request }) => void request.once("socket", () => request.setTimeout(SOON_MS))),
    });
    if (then === "nothing") {
      add("by the socket's setTimeout()", {
        play: ends(({ request, log, over }) =>
          void request.once("socket", (given) => {
            const socket = given as Socket;
            socket.setTimeout(SOON_MS);
            socket.once("timeout", () => {
              log.push("socket timeout");
              over();
            });
          })
        ),
      });
    }
    add("by setTimeout() over the option", {
      options: { timeout: 60_000 },
      play: ends(({ request }) => void request.setTimeout(SOON_MS)),
    });
    if (answer === undefined) continue;
    if (then === "nothing") {
      add("by the response's setTimeout()", {
        play: ends(({ request, log, over }) =>
          void request.once(
            "response",
            (response) =>
              void (response as AnyResponse).setTimeout(SOON_MS, () => {
                log.push("res callback");
                over();
              }),
          )
        ),
      });
    }
    add("by setTimeout() at 'response'", {
      play: ends(({ request }) => void request.once("response", () => request.setTimeout(SOON_MS))),
    });
  }
}

const withdrawn: Record<string, Scene> = Object.fromEntries(
  [["by option", { timeout: SOON_MS }], ["by setTimeout()", {}]].map(([form, options]): [string, Scene] => [
    `timeout ${form}, taken back by setTimeout(0)`,
    {
      options: options as Record<string, unknown>,
      answer: (socket) => void setTimeout(() => whole(socket), SOON_MS * 2),
      reads: true,
      play: ({ request, over }) => {
        if (form !== "by option") request.setTimeout(SOON_MS);
        request.once("socket", () => request.setTimeout(0));
        request.once("close", over);
        request.end();
      },
    },
  ]),
);

/** Writes until it is told to wait; what is told then is the scene's. */
function fill({ request, log }: Play): void {
  while (request.write(PIECE));
  log.push(`write ${false}, ${request.writableNeedDrain}`);
}

const backpressure: Record<string, Scene> = {
  "an upload that the server does not read, then does": {
    answer: (socket) => void socket.pause(),
    reads: true,
    play: async (play) => {
      const { request, served, log } = play;
      request.write("first");
      const socket = await served;
      fill(play);
      request.once("drain", () => {
        log.push(`drained, ${request.writableNeedDrain}`);
        request.end();
      });
      request.once("finish", () => whole(socket));
      request.once("close", play.over);
      socket.resume();
    },
  },
  "an upload that is full before there is a connection": {
    reads: true,
    play: (play) => {
      const { request, served } = play;
      fill(play);
      request.once("drain", () => request.end());
      request.once("finish", async () => whole(await served));
      request.once("close", play.over);
    },
  },
  "a piece larger than the mark, and its end in the same turn": {
    reads: true,
    play: (play) => {
      const { request, served, log } = play;
      log.push(`write ${request.write(PIECE + PIECE)}`);
      request.end();
      request.once("finish", async () => whole(await served));
      request.once("close", play.over);
    },
  },
};

for (const way of ["pause() and resume()", "'readable' and read()", "no reader, then resume()"]) {
  backpressure[`a download by ${way}`] = {
    answer: (socket) =>
      void socket.write(`HTTP/1.1 200 OK\r\nContent-Length: ${MEGABYTES.length}\r\n\r\n${MEGABYTES}`),
    play: ({ request, served, log, over }) => {
      request.once("response", async (given) => {
        const response = given as AnyResponse;
        if (way.startsWith("pause")) response.once("data", () => response.pause());
        else if (way.startsWith("'readable'")) {
          await new Promise((done) => void response.once("readable", done));
        }
        const socket = await served;
        log.push(await isHeld(socket) ? "the server is held" : "the server is not held");
        if (way.startsWith("'readable'")) {
          const readAll = (): void => {
            while (response.read() !== null);
          };
          response.on("readable", readAll);
          readAll();
        } else response.resume();
      });
      request.once("close", over);
      request.end();
    },
  };
}

/** The system takes no more of what the server has written, for as long as nobody reads at the other end. */
async function isHeld(socket: Socket): Promise<boolean> {
  let last = -1;
  while (socket.writableLength !== last) {
    last = socket.writableLength;
    await new Promise((resolve) => setTimeout(resolve, 60));
  }
  return last > 0;
}

const TOO_LARGE = "HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n";

/** An upload that is under way when the answer comes. */
function answered(then: "end" | "destroy" | "goOn", keeps: boolean): Scene {
  return {
    answer: (socket) => void socket.write(`${TOO_LARGE}${keeps ? "" : "Connection: close\r\n"}\r\nno!`),
    play: ({ request, over }) => {
      request.write("first");
      request.once("response", (given) => {
        const response = given as AnyResponse;
        if (then === "destroy") return void request.destroy();
        response.resume();
        response.once("end", () => {
          if (then === "goOn") request.write("more");
          request.end();
        });
      });
      request.once("close", over);
    },
  };
}

const early: Record<string, Scene> = {
  "413 to Expect: 100-continue, and no body is sent": {
    options: { headers: { expect: "100-continue" } },
    answer: (socket) => void socket.end(`${TOO_LARGE}Connection: close\r\n\r\nno!`),
    play: ({ request, log, over }) => {
      request.once("continue", () => log.push("body"));
      request.once("response", (response) => void (response as AnyResponse).resume());
      request.once("close", over);
    },
  },
};
for (const keeps of [true, false]) {
  for (const then of ["end", "destroy", "goOn"] as const) {
    early[`413 in an upload, the connection ${keeps ? "kept" : "closed"}, then ${then}`] = answered(
      then,
      keeps,
    );
  }
}

/** All of them. */
export const SCENES: Readonly<Record<string, Scene>> = {
  ...timeouts,
  ...withdrawn,
  ...backpressure,
  ...early,
};

const EVENTS = ["socket", "prefinish", "finish", "drain", "continue", "abort", "timeout", "error", "close"];

function listen(request: AnyRequest, log: string[]): void {
  for (const event of EVENTS) {
    request.on(event, (value) => void log.push(event === "error" ? `error ${text(value)}` : event));
  }
  request.on("response", (given) => {
    const response = given as AnyResponse;
    log.push(`response ${response.statusCode}`);
    for (const event of ["aborted", "end", "close", "timeout", "error"]) {
      response.on(
        event,
        (value) => void log.push(`res ${event}${event === "error" ? ` ${text(value)}` : ""}`),
      );
    }
  });
}

function text(value: unknown): string {
  const { code, message } = value as { code?: string; message: string };
  return `${code} ${message.replace(/:\d+$/, "")}`;
}

async function play(kit: OrderKit, scene: Scene): Promise<string> {
  let serve: (socket: Socket) => void = () => {};
  const served = new Promise<Socket>((resolve) => serve = resolve);
  const origin: WireOrigin = await wireOrigin((socket) => {
    serve(socket);
    scene.answer?.(socket);
  });
  const agent = new kit.Agent({ keepAlive: true, ...scene.agent }) as { destroy(): void };
  const log: string[] = [];
  const method = Object.values(timeouts).includes(scene) || Object.values(withdrawn).includes(scene)
    ? "GET"
    : "POST";
  const options = { host: "127.0.0.1", port: origin.port, method, agent, ...scene.options };
  const request = kit.request(options) as AnyRequest;
  listen(request, log);
  if (scene.reads) request.once("response", (response) => void (response as AnyResponse).resume());
  try {
    await new Promise<void>((resolve) => {
      const giveUp = setTimeout(() => {
        log.push("nothing more came");
        resolve();
      }, PATIENCE_MS);
      const over = (): void => {
        clearTimeout(giveUp);
        setTimeout(resolve, REST_MS);
      };
      void scene.play({ request, log, served, over });
    });
    return log.join(", ");
  } finally {
    agent.destroy();
    await origin.close();
  }
}

/** Plays all of them with `kit`, a few at a time: name to log. */
export async function scenesOf(kit: OrderKit): Promise<Map<string, string>> {
  const logs = new Map<string, string>();
  const waiting = Object.keys(SCENES);
  for (const name of waiting) logs.set(name, "");
  const work = async (): Promise<void> => {
    for (let name = waiting.shift(); name !== undefined; name = waiting.shift()) {
      logs.set(name, await play(kit, SCENES[name]!));
    }
  };
  await Promise.all(Array.from({ length: 4 }, work));
  return logs;
}
