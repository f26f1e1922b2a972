/**
 * One request in a given situation, and everything that it tells, as a line of text: for comparing a client with node:http's.
 *
 * A situation is what the server does, what the client does, and at which stage it gives up. The log holds the events of the
 * request and of its response, in order; nothing in it depends on time.
 */
import type { Socket } from "node:net";
import { ok, type WireAnswer, wireOrigin } from "./http_origin.ts";

/** The client half of node:http, as far as a situation needs it. */
export interface OrderKit {
  readonly request: (options: Record<string, unknown>) => unknown;
  readonly Agent: new (options?: Record<string, unknown>) => unknown;
}

interface AnyEmitter {
  on(event: string, listener: (...args: unknown[]) => void): unknown;
}

interface AnyRequest extends AnyEmitter {
  write(chunk: string): boolean;
  end(chunk?: string): unknown;
  abort(): void;
  destroy(error?: Error): unknown;
  readonly res: AnyResponse | null;
}

interface AnyResponse extends AnyEmitter {
  resume(): unknown;
  destroy(error?: Error): unknown;
  readonly statusCode: number;
}

/** What the server does with a request. */
export const SERVERS = {
  whole: (socket: Socket): unknown => socket.write(ok("body")),
  chunked: (socket: Socket): unknown =>
    socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n0\r\nx-t: 1\r\n\r\n"),
  empty: (socket: Socket): unknown => socket.write("HTTP/1.1 204 No Content\r\n\r\n"),
  closes: (socket: Socket): unknown => socket.end(ok("body", "Connection: close")),
  delimited: (socket: Socket): unknown => socket.end("HTTP/1.1 200 OK\r\n\r\nbody"),
  hints: (socket: Socket): unknown =>
    socket.write(`HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n${ok("body")}`),
  short: (socket: Socket): unknown => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody"),
  shortChunks: (socket: Socket): unknown =>
    socket.end("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\n"),
  stalls: (socket: Socket): unknown => socket.write("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nbody"),
  /** Nobody listens there. */
  refused: (): void => {},
  silent: (): void => {},
  hangsUp: (socket: Socket): unknown => socket.end(),
  garbage: (socket: Socket): unknown => socket.write("SSH-2.0-OpenSSH\r\n\r\n"),
  badChunk: (socket: Socket): unknown =>
    socket.write("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nbody\r\nzz\r\n"),
  upgrades: (socket: Socket): unknown =>
    socket.write("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\n"),
} as const;

/** Those that end the connection by themselves, or have it ended. */
const ENDS: ReadonlySet<string> = new Set([
  "closes",
  "delimited",
  "short",
  "shortChunks",
  "hangsUp",
  "refused",
  "garbage",
  "badChunk",
  "upgrades",
]);
/** Longest wait for what has to come, ms. */
const PATIENCE_MS = 10_000;

/** A server's behaviour. */
export type ServerName = keyof typeof SERVERS;

/** How the client gives up. */
export type GiveUp =
  | "none"
  | "abort"
  | "destroy"
  | "destroyError"
  | "signal"
  | "resDestroy"
  | "resDestroyError";

/** When it does. */
export type Stage = "made" | "ended" | "socket" | "response" | "data" | "end";

/** See the file's comment. */
export interface Situation {
  readonly server: ServerName;
  /** UPLOAD: a POST that is never ended. */
  readonly method: "GET" | "POST" | "UPLOAD" | "HEAD" | "CONNECT" | "UPGRADE";
  /** `flowing`: data is read; `paused`: nothing is; `unheard`: nobody listens for 'response'. */
  readonly reader: "flowing" | "paused" | "unheard";
  readonly giveUp: GiveUp;
  readonly stage: Stage;
  readonly agent: "keepAlive" | "closing";
}

const REQUEST_EVENTS = [
  "socket",
  "prefinish",
  "finish",
  "drain",
  "continue",
  "information",
  "abort",
  "timeout",
  "error",
  "close",
];

/** Its name, by which it is found again. */
export function nameOf({ server, method, reader, giveUp, stage, agent }: Situation): string {
  const end = giveUp === "none" ? "none" : `${giveUp}@${stage}`;
  return `${agent} ${method} ${server} ${reader} ${end}`;
}

/** Runs it with a client. */
export async function orderOf(kit: OrderKit, situation: Situation): Promise<string> {
  const { server, method, giveUp, stage } = situation;
  const origin = await wireOrigin(SERVERS[server] as WireAnswer);
  if (server === "refused") await origin.close();
  const agent = new kit.Agent({ keepAlive: situation.agent === "keepAlive" }) as { destroy(): void };
  const controller = new AbortController();
  const log: string[] = [];
  let told = "";
  try {
    const isUpgrade = method === "UPGRADE";
    const isUpload = method === "UPLOAD";
    const request = kit.request({
      host: "127.0.0.1",
      port: origin.port,
      method: isUpgrade ? "GET" : isUpload ? "POST" : method,
      path: method === "CONNECT" ? "example.com:443" : "/",
      agent,
      signal: controller.signal,
      ...isUpgrade ? { headers: { connection: "Upgrade", upgrade: "x" } } : {},
    }) as AnyRequest;
    const act = new Actor(request, giveUp, controller);
    listen(request, situation, log, act);
    if (stage === "made") act.now();
    if (isUpload || method === "POST") request.write("first");
    if (!isUpload) request.end(method === "POST" ? "last" : undefined);
    if (stage === "ended") act.now();
    await settled(situation, log);
    told = log.join(", ");
  } finally {
    agent.destroy();
    if (server !== "refused") await origin.close();
  }
  return told;
}

/** Gives up, once. */
class Actor {
  readonly #request: AnyRequest;
  readonly #giveUp: GiveUp;
  readonly #controller: AbortController;
  #isDone = false;

  constructor(request: AnyRequest, giveUp: GiveUp, controller: AbortController) {
    this.#request = request;
    this.#giveUp = giveUp;
    this.#controller = controller;
  }

  now(): void {
    if (this.#isDone) return;
    this.#isDone = true;
    switch (this.#giveUp) {
      case "abort":
        return this.#request.abort();
      case "destroy":
        return void this.#request.destroy();
      case "destroyError":
        return void this.#request.destroy(new Error("mine"));
      case "signal":
        return this.#controller.abort();
      case "resDestroy":
        return void this.#request.res?.destroy();
      case "resDestroyError":
        return void this.#request.res?.destroy(new Error("mine"));
    }
  }
}

function listen(
  request: AnyRequest,
  { reader, stage }: Situation,
  log: string[],
  act: Actor,
): void {
  for (const event of REQUEST_EVENTS) {
    request.on(event, (value) => {
      log.push(`${event}${detail(event, value)}`);
      if (event === stage) act.now();
    });
  }
  for (const event of ["upgrade", "connect"]) {
    if (reader === "unheard") break;
    request.on(event, (_response, stream) => {
      log.push(event);
      (stream as { destroy(): void }).destroy();
    });
  }
  if (reader === "unheard") return;
  request.on("response", (given) => {
    const response = given as AnyResponse;
    log.push(`response ${response.statusCode}`);
    for (const event of ["aborted", "end", "close", "timeout"]) {
      response.on(event, () => {
        log.push(`res ${event}`);
        if (event === stage && stage === "end") act.now();
      });
    }
    response.on("error", (value) => log.push(`res error${detail("error", value)}`));
    if (stage === "response") act.now();
    if (reader === "flowing") {
      response.on("data", () => {
        log.push("res data");
        if (stage === "data") act.now();
      });
    }
  });
}

function detail(event: string, value: unknown): string {
  if (event === "information") return ` ${(value as { statusCode: number }).statusCode}`;
  if (event !== "error") return "";
  const { code, message } = value as { code?: string; message: string };
  return ` ${code} ${message.replace(/:\d+$/, "")}`;
}

/** Waits until nothing more can come: as long as something has to, and a little longer. */
async function settled({ server, reader, giveUp }: Situation, log: readonly string[]): Promise<void> {
  const has = (event: string): boolean => log.some((line) => line === event || line.startsWith(`${event} `));
  const isLast = (): boolean => {
    if (giveUp === "none" && server === "silent") return has("finish");
    if (giveUp === "none" && server === "stalls" && reader !== "paused") {
      return has(reader === "flowing" ? "res data" : "finish");
    }
    if (giveUp === "none" && reader === "paused" && !ENDS.has(server)) return has("response") || has("close");
    return has("close") && (reader === "paused" || !has("response") || has("res close"));
  };
  const until = Date.now() + PATIENCE_MS;
  while (!isLast() && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 2));
  // Whatever is told behind it.
  await new Promise((resolve) => setTimeout(resolve, 15));
}

const METHODS: readonly [Situation["method"], readonly ServerName[]][] = [
  ["GET", Object.keys(SERVERS).filter((name) => name !== "upgrades") as ServerName[]],
  ["POST", ["refused", "whole", "closes", "hangsUp", "stalls", "hints"]],
  ["UPLOAD", ["closes", "short"]],
  ["HEAD", ["whole", "empty", "silent"]],
  ["UPGRADE", ["upgrades", "whole", "silent"]],
  ["CONNECT", ["whole", "silent", "hangsUp"]],
];

/** Where no connection is kept, it is its end that differs. */
const METHODS_OF_CLOSING: typeof METHODS = [
  ["GET", ["whole", "closes", "short", "hangsUp", "stalls"]],
  ["POST", ["whole", "hints"]],
  ["HEAD", ["whole"]],
];

/** All of them that can come about. */
export function situations(): Situation[] {
  const all: Situation[] = [];
  for (const agent of ["keepAlive", "closing"] as const) {
    for (const [method, servers] of agent === "closing" ? METHODS_OF_CLOSING : METHODS) {
      for (const server of servers) {
        for (const reader of ["flowing", "paused", "unheard"] as const) {
          for (const [giveUp, stage] of ends(method, server, reader)) {
            all.push({ server, method, reader, giveUp, stage, agent });
          }
        }
      }
    }
  }
  return all;
}

/** Runs all of them with `kit`, a few at a time: name to log. */
export async function ordersOf(
  kit: OrderKit,
  isWanted: (name: string) => boolean = () => true,
): Promise<Map<string, string>> {
  const logs = new Map<string, string>();
  const waiting = situations().filter((situation) => isWanted(nameOf(situation)));
  for (const situation of waiting) logs.set(nameOf(situation), "");
  const work = async (): Promise<void> => {
    for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) {
      logs.set(nameOf(next), await orderOf(kit, next));
    }
  };
  await Promise.all(Array.from({ length: 8 }, work));
  return logs;
}

// Where a stage is never reached, or the outcome is left to chance, there is no situation.
function ends(
  method: Situation["method"],
  server: ServerName,
  reader: Situation["reader"],
): [GiveUp, Stage][] {
  const answers = method !== "CONNECT" &&
    !["refused", "silent", "hangsUp", "garbage", "upgrades"].includes(server);
  const hasBody = method !== "HEAD" && server !== "empty";
  const isWhole = !["short", "shortChunks", "stalls", "badChunk"].includes(server);
  const pairs: [GiveUp, Stage][] = [["none", "made"]];
  const giveUps: GiveUp[] = reader === "flowing"
    ? ["abort", "destroy", "destroyError", "signal"]
    : ["abort", "destroyError"];
  for (const giveUp of giveUps) {
    // Before the server has said anything it does not matter which it is.
    if (server === "whole" || server === "refused") {
      pairs.push([giveUp, "made"], [giveUp, "ended"], [giveUp, "socket"]);
    }
    // Whether the end has come as well when the data is read is the runtime's affair.
    if (!answers || reader === "unheard" || ["delimited", "short", "shortChunks"].includes(server)) continue;
    pairs.push([giveUp, "response"]);
    if (reader === "flowing" && hasBody) pairs.push([giveUp, "data"]);
    if (reader === "flowing" && isWhole) pairs.push([giveUp, "end"]);
  }
  if (!answers || reader !== "flowing" || ["delimited", "short", "shortChunks"].includes(server)) {
    return pairs;
  }
  pairs.push(["resDestroy", "response"], ["resDestroyError", "response"]);
  if (hasBody) pairs.push(["resDestroy", "data"], ["resDestroyError", "data"]);
  return pairs;
}
