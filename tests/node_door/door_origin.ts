/** An origin on loopback that counts its sockets, and requests of the runtime's own node:http to it. */
import * as http from "node:http";
import { type Listening, listening } from "../harness/listening.ts";

/** A listening server. */
export interface Origin extends Listening {
  readonly server: http.Server;
  /** Paths in the order of their requests. */
  readonly paths: readonly string[];
}

/** What a request came to. */
export interface Outcome {
  readonly status: number | undefined;
  readonly body: string;
  readonly code: string | undefined;
  readonly message: string;
  readonly reused: boolean;
  readonly events: readonly string[];
}

/** Starts an origin that answers as it is told. */
export async function origin(answer: http.RequestListener): Promise<Origin> {
  const paths: string[] = [];
  const server = http.createServer({ keepAliveTimeout: 0 }, (request, response) => {
    paths.push(request.url ?? "");
    answer(request, response);
  });
  return Object.assign(await listening(server), { server, paths });
}

/** Sends a request of the runtime's own node:http and waits for its 'close'. */
export function send(options: http.RequestOptions, body?: string): Promise<Outcome> {
  return new Promise((resolve) => follow(http.request({ host: "127.0.0.1", ...options }), resolve, body));
}

/** Ends `request` and tells its outcome at its 'close'. */
export function follow(request: http.ClientRequest, done: (outcome: Outcome) => void, body?: string): void {
  const events: string[] = [];
  let status: number | undefined;
  let text = "";
  let error: (Error & { code?: string }) | undefined;
  for (const event of ["socket", "finish", "response", "timeout", "abort", "error", "close"]) {
    request.on(event, () => events.push(event));
  }
  request.on("error", (reason) => error ??= reason);
  request.on("response", (response) => {
    status = response.statusCode;
    response.setEncoding("utf8");
    response.on("data", (chunk: string) => text += chunk);
    response.on("error", (reason) => error ??= reason);
  });
  request.on("close", () =>
    done({
      status,
      body: text,
      code: error?.code,
      message: error?.message ?? "",
      reused: request.reusedSocket,
      events,
    }));
  request.end(body);
}

/** Waits until a condition holds; the test's own timer ends it. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await pause(1);
}

/** Waits. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
