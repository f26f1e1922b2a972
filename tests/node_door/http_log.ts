/** What a request of the http face tells, as a list that a test can compare. */
import type { ClientRequest, IncomingMessage } from "@holdfast/agent/http";

const REQUEST_EVENTS = [
  "socket",
  "prefinish",
  "finish",
  "continue",
  "information",
  "upgrade",
  "connect",
  "response",
  "abort",
  "timeout",
  "error",
  "close",
];
const RESPONSE_EVENTS = ["aborted", "end", "error", "close", "timeout"];

/** Listens for everything but what `without` names, a response being read unless `reads` is false. */
export function logOf(request: ClientRequest, reads: boolean = true): string[] {
  const log: string[] = [];
  for (const event of REQUEST_EVENTS) {
    if (event === "upgrade" || event === "connect") continue;
    request.on(event, (value: unknown) => log.push(`${event}${detail(event, value)}`));
  }
  request.on("response", (response: IncomingMessage) => {
    for (const event of RESPONSE_EVENTS) {
      response.on(event, (value: unknown) => log.push(`res ${event}${detail(event, value)}`));
    }
    if (reads) response.resume();
  });
  return log;
}

function detail(event: string, value: unknown): string {
  if (event === "error") return ` ${(value as { code?: string }).code} ${(value as Error).message}`;
  if (event === "information") return ` ${(value as { statusCode: number }).statusCode}`;
  return "";
}

/** Resolves when both the request and its response, if there is one, have emitted 'close'. */
export async function closed(request: ClientRequest): Promise<void> {
  if (!request.closed) await new Promise<void>((resolve) => request.once("close", resolve));
  const { res } = request;
  if (res !== null && !res.closed) await new Promise<void>((resolve) => res.once("close", resolve));
  // Whatever was deferred behind 'close'.
  await new Promise<void>((resolve) => setTimeout(resolve, 1));
}

/** The whole body as text. */
export async function textOf(response: IncomingMessage): Promise<string> {
  let text = "";
  response.setEncoding("utf8");
  for await (const chunk of response) text += chunk;
  return text;
}

/** The response to a request. */
export function responseTo(request: ClientRequest): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    request.once("response", resolve);
    request.once("error", reject);
  });
}
