/**
 * A drop-in for the client half of `node:http`, over our Agent: `request`, `get`, `ClientRequest`, `IncomingMessage`,
 * `OutgoingMessage`, `Agent`, `globalAgent`. The server half and the tables are the runtime's own, passed through, so that a
 * program which swaps its import goes on working.
 *
 * @example
 * ```ts
 * import http from "@holdfast/agent/http";
 *
 * http.get("http://127.0.0.1:8080/", (response) => {
 *   console.log(response.statusCode, response.headers["content-type"]);
 *   response.resume();
 * });
 * ```
 *
 * @module
 */

import * as builtin from "node:http";
import { Agent } from "./agent/agent.ts";
import { ClientRequest, type ResponseListener } from "./agent/client_request.ts";
import type { RequestOptions } from "./agent/client_request_options.ts";
import { ArgumentTypeError } from "./agent/core/errors.ts";
import { keepGlobalAgent, makeGlobalAgent } from "./agent/global_agent.ts";
import { IncomingMessage } from "./agent/incoming_message.ts";
import { OutgoingMessage } from "./agent/outgoing_message.ts";
import { validateHeaderName, validateHeaderValue } from "./agent/outgoing_message_headers.ts";

export { Agent, ClientRequest, IncomingMessage, OutgoingMessage, validateHeaderName, validateHeaderValue };
export type { ResponseListener } from "./agent/client_request.ts";
export type { AgentLike, RequestOptions, RetryOption } from "./agent/client_request_options.ts";
export type { AgentOptions } from "./agent/options.ts";
export type { IncomingHttpHeaders } from "./agent/incoming_message_headers.ts";
export type { OutgoingHeaderValue } from "./agent/outgoing_message_headers.ts";

/** Methods that the runtime's own parser knows. */
export const METHODS: string[] = builtin.METHODS;
/** Status codes and their usual reason phrases. */
export const STATUS_CODES: Record<string | number, string | undefined> = builtin.STATUS_CODES;
/** Default limit of a response's head, bytes. */
export const maxHeaderSize: number = builtin.maxHeaderSize ?? 16_384;
/** The runtime's own. */
export const Server: typeof builtin.Server = builtin.Server;
/** The runtime's own. */
export const ServerResponse: typeof builtin.ServerResponse = builtin.ServerResponse;
/** The runtime's own. */
export const createServer: typeof builtin.createServer = builtin.createServer;
/** The runtime's own; the parsers here are not among those that it limits. */
export const setMaxIdleHTTPParsers: typeof builtin.setMaxIdleHTTPParsers = builtin.setMaxIdleHTTPParsers;
/** The runtime's own; undefined in Node 20. */
export const WebSocket: RuntimesOwn<"WebSocket"> = ownMember("WebSocket");
/** The runtime's own; undefined in Node 20. */
export const CloseEvent: RuntimesOwn<"CloseEvent"> = ownMember("CloseEvent");
/** The runtime's own; undefined in Node 20. */
export const MessageEvent: RuntimesOwn<"MessageEvent"> = ownMember("MessageEvent");

/** The type of a member of `node:http` that older types of Node do not have. */
export type RuntimesOwn<Name extends string> = Name extends keyof typeof builtin ? (typeof builtin)[Name]
  : undefined;

function ownMember<Name extends string>(name: Name): RuntimesOwn<Name> {
  return (builtin as Record<string, unknown>)[name] as RuntimesOwn<Name>;
}

/**
 * Refused, as the option `proxyEnv` is: the runtime's own would change the runtime's agents, and requests made here would go past
 * the proxy.
 *
 * @throws TypeError ERR_UNSUPPORTED_OPTION
 */
export function setGlobalProxyFromEnv(_proxyEnv?: Readonly<Record<string, string | undefined>>): never {
  throw new ArgumentTypeError("ERR_UNSUPPORTED_OPTION", "Forward proxies are not supported yet");
}

/**
 * The agent of requests that bring none. To put another in its place assign to the default export's `globalAgent`, or in
 * CommonJS to that of `require("@holdfast/agent/http")`.
 */
export let globalAgent: Agent = makeGlobalAgent();
// In CommonJS an exported variable is a property of `exports`, which users write to: it is the one place.
keepGlobalAgent(() => globalAgent);

/**
 * Makes a request: Node's `http.request(url[, options][, callback])`; nothing is sent before its first write(), end() or
 * flushHeaders().
 *
 * @throws TypeError or RangeError for an option of the wrong type or out of its range: ERR_INVALID_ARG_TYPE, ERR_INVALID_URL,
 * ERR_INVALID_PROTOCOL, ERR_INVALID_HTTP_TOKEN, ERR_UNESCAPED_CHARACTERS, ERR_INVALID_CHAR, ERR_OUT_OF_RANGE...
 */
export function request(options: RequestOptions | string | URL, callback?: ResponseListener): ClientRequest;
export function request(
  url: string | URL,
  options: RequestOptions,
  callback?: ResponseListener,
): ClientRequest;
export function request(
  url: RequestOptions | string | URL,
  options?: RequestOptions | ResponseListener,
  callback?: ResponseListener,
): ClientRequest {
  return new ClientRequest(url, options, callback);
}

/** {@linkcode request} and its end(). */
export function get(options: RequestOptions | string | URL, callback?: ResponseListener): ClientRequest;
export function get(url: string | URL, options: RequestOptions, callback?: ResponseListener): ClientRequest;
export function get(
  url: RequestOptions | string | URL,
  options?: RequestOptions | ResponseListener,
  callback?: ResponseListener,
): ClientRequest {
  return new ClientRequest(url, options, callback).end();
}

/** What differs from the runtime's own module. */
interface ClientHalf {
  readonly Agent: typeof Agent;
  readonly ClientRequest: typeof ClientRequest;
  readonly IncomingMessage: typeof IncomingMessage;
  readonly OutgoingMessage: typeof OutgoingMessage;
  readonly request: typeof request;
  readonly get: typeof get;
  readonly setGlobalProxyFromEnv: typeof setGlobalProxyFromEnv;
  readonly validateHeaderName: typeof validateHeaderName;
  readonly validateHeaderValue: typeof validateHeaderValue;
  /** The agent of requests that bring none; may be assigned. */
  globalAgent: Agent;
}

/** `node:http` with our client in it. */
export type HttpModule = Omit<typeof builtin, keyof ClientHalf> & ClientHalf;

const passed = Object.fromEntries(Object.entries(builtin).filter(([name]) => name !== "default"));

/** One object of `node:http`'s shape; its `globalAgent` can be assigned. */
const http: HttpModule = Object.defineProperty(
  {
    ...passed,
    Agent,
    ClientRequest,
    IncomingMessage,
    OutgoingMessage,
    request,
    get,
    setGlobalProxyFromEnv,
    validateHeaderName,
    validateHeaderValue,
  },
  "globalAgent",
  {
    get: () => globalAgent,
    set(agent: Agent): void {
      globalAgent = agent;
    },
    enumerable: true,
    configurable: true,
  },
) as unknown as HttpModule;

export default http;
