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
import type { Duplex } from "node:stream";
import { Agent } from "./agent/agent.ts";
import { callable } from "./agent/callable.ts";
import { ClientRequest as OwnClientRequest } from "./agent/client_request.ts";
import { setMaxHeaderSize } from "./agent/client_request_options.ts";
import { ArgumentTypeError } from "./agent/core/errors.ts";
import { keepGlobalAgent, makeGlobalAgent } from "./agent/global_agent.ts";
import { IncomingMessage as OwnIncomingMessage } from "./agent/incoming_message.ts";
import { countAs, lendPrototype } from "./agent/incoming_message_instances.ts";
import { OutgoingMessage as OwnOutgoingMessage } from "./agent/outgoing_message.ts";
import { validateHeaderName, validateHeaderValue } from "./agent/outgoing_message_headers.ts";
import type { AgentLike, RetryOption } from "./agent/client_request_options.ts";
import type { AgentOptions as OwnAgentOptions } from "./agent/options.ts";

export { Agent, validateHeaderName, validateHeaderValue };
export type { AgentLike, RetryOption } from "./agent/client_request_options.ts";
export type { AgentOptions } from "./agent/options.ts";
export type {
  ClientRequestArgs,
  IncomingHttpHeaders,
  InformationEvent,
  OutgoingHttpHeader,
  OutgoingHttpHeaders,
  RequestListener,
  ServerOptions,
} from "node:http";

/** Options of a request that are ours, or wider than Node's. */
export interface OwnRequestOptions {
  /** Default: the shared agent of the scheme; false: a connection of its own, with default options; or any `{ addRequest }`. */
  agent?: AgentLike | builtin.Agent | boolean | undefined;
  /** An object, a flat array of names and values, or pairs. */
  headers?:
    | builtin.OutgoingHttpHeaders
    | readonly string[]
    | readonly (readonly [string, string | readonly string[]])[]
    | undefined;
  /** Bytes from which write() returns false. Default 65,536. */
  highWaterMark?: number | undefined;
  /**
   * "strict": values of headers are what RFC 9110 section 5.5 allows, both ways. "relaxed": any octet but NUL, CR and LF, as the
   * Fetch Standard has it. "insecure": that, and insecureHTTPParser, beside which it is an error. Default "strict".
   */
  httpValidation?: "strict" | "relaxed" | "insecure" | undefined;
  /**
   * "idempotent": a request that fails on a connection that has served before, without a byte of an answer, is sent once
   * more over a new one if its method permits (RFC 9110 section 9.2.2). false: never. Default "idempotent". Differs from
   * Node: new.
   */
  retry?: RetryOption | undefined;
}

/** Options of `http.request()`: Node's and {@linkcode OwnRequestOptions}. All others are passed to the agent, and so to the socket. */
export interface RequestOptions
  extends Omit<builtin.RequestOptions, keyof OwnRequestOptions>, OwnRequestOptions {}

/** A response: Node's `http.IncomingMessage`. */
export interface IncomingMessage extends builtin.IncomingMessage {
  /** The request that it answers. */
  req?: ClientRequest;
}

/** `http.IncomingMessage`. */
export interface IncomingMessageConstructor {
  /** An empty message, as tests make them; `socket` may be any object. */
  new (socket?: unknown): IncomingMessage;
  /** Of every message. */
  readonly prototype: IncomingMessage;
}

/** See the interface of this name. */
export const IncomingMessage: IncomingMessageConstructor = callable(OwnIncomingMessage);

/** A request: Node's `http.ClientRequest`. */
export interface ClientRequest extends builtin.ClientRequest {
  /** Whose connections it uses; undefined: `createConnection`'s. */
  agent: AgentLike | undefined;
  /** The response, once its head has come. */
  res: IncomingMessage | null;
  /** The option. */
  timeout: number | undefined;
  /** The option. */
  socketPath: string | undefined;
  /** The option. */
  httpValidation: "strict" | "relaxed" | "insecure" | undefined;
  /** More or fewer bytes than the Content-Length says are an error (ERR_HTTP_CONTENT_LENGTH_MISMATCH). */
  strictContentLength: boolean;
  /** For agents: `socket` carries the request, or `error` says why there is none. */
  onSocket(socket: unknown, error?: Error | null): void;
}

/** A listener for 'response'. */
export type ResponseListener = (response: IncomingMessage) => void;

/** `http.ClientRequest`. */
export interface ClientRequestConstructor {
  /** As `http.request()`. */
  new (
    url: string | URL | RequestOptions,
    options?: RequestOptions | ResponseListener,
    callback?: ResponseListener,
  ): ClientRequest;
  /** Of every request. */
  readonly prototype: ClientRequest;
}

/** See the interface of this name. */
export const ClientRequest: ClientRequestConstructor = callable(OwnClientRequest, {
  root: OwnOutgoingMessage,
});

/** The class itself: what makes it callable costs a request some time. */
const Request = OwnClientRequest as unknown as ClientRequestConstructor;

/** `http.OutgoingMessage`. */
export interface OutgoingMessageConstructor {
  /** A message without a head. */
  new (options?: { readonly highWaterMark?: number | undefined }): builtin.OutgoingMessage;
  /** Of every request too. */
  readonly prototype: builtin.OutgoingMessage;
}

/** What a request shares with any other message that is written: Node's `http.OutgoingMessage`. */
export type OutgoingMessage = builtin.OutgoingMessage;
/** See the interface of this name. */
export const OutgoingMessage: OutgoingMessageConstructor = callable(OwnOutgoingMessage, {
  bare: { path: undefined, socket: null, destroy: undefined, setTimeout: undefined },
});

/** Methods that the runtime's own parser knows. */
export const METHODS: string[] = builtin.METHODS;
/** Status codes and their usual reason phrases. */
export const STATUS_CODES: Record<string | number, string | undefined> = builtin.STATUS_CODES;
/** Default limit of a response's head, bytes. */
export const maxHeaderSize: number = builtin.maxHeaderSize ?? 16_384;
/** The runtime's own. */
export const Server: typeof builtin.Server = builtin.Server;
/** The runtime's own. */
export type Server<
  Request extends typeof builtin.IncomingMessage = typeof builtin.IncomingMessage,
  Response extends typeof builtin.ServerResponse<InstanceType<Request>> = typeof builtin.ServerResponse,
> = builtin.Server<Request, Response>;
/** The runtime's own. */
export const ServerResponse: typeof builtin.ServerResponse = builtin.ServerResponse;
/** The runtime's own. */
export type ServerResponse<Request extends builtin.IncomingMessage = builtin.IncomingMessage> =
  builtin.ServerResponse<Request>;
/** The runtime's own. */
export const createServer: typeof builtin.createServer = builtin.createServer;
/** The runtime's own; the parsers here are not among those that it limits. */
export const setMaxIdleHTTPParsers: typeof builtin.setMaxIdleHTTPParsers = builtin.setMaxIdleHTTPParsers;
/** The runtime's own, without a document; undefined in Bun. */
export const _connectionListener: ((socket: Duplex) => void) | undefined =
  (builtin as unknown as { _connectionListener?: (socket: Duplex) => void })._connectionListener;
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
export function request(
  options: RequestOptions | string | URL,
  callback?: ResponseListener,
): ClientRequest;
/** The same, with options over what the URL says. */
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
  return new Request(url, options, callback);
}

/** {@linkcode request} and its end(). */
export function get(
  options: RequestOptions | string | URL,
  callback?: ResponseListener,
): ClientRequest;
/** The same, with options over what the URL says. */
export function get(
  url: string | URL,
  options: RequestOptions,
  callback?: ResponseListener,
): ClientRequest;
export function get(
  url: RequestOptions | string | URL,
  options?: RequestOptions | ResponseListener,
  callback?: ResponseListener,
): ClientRequest {
  return new Request(url, options, callback).end();
}

/** What differs from the runtime's own module. */
export interface HttpClientHalf {
  /** {@linkcode Agent}. */
  readonly Agent: typeof Agent;
  /** {@linkcode ClientRequest}. */
  readonly ClientRequest: typeof ClientRequest;
  /** {@linkcode IncomingMessage}. */
  readonly IncomingMessage: typeof IncomingMessage;
  /** {@linkcode OutgoingMessage}. */
  readonly OutgoingMessage: typeof OutgoingMessage;
  /** {@linkcode request}. */
  readonly request: typeof request;
  /** {@linkcode get}. */
  readonly get: typeof get;
  /** {@linkcode setGlobalProxyFromEnv}. */
  readonly setGlobalProxyFromEnv: typeof setGlobalProxyFromEnv;
  /** {@linkcode validateHeaderName}. */
  readonly validateHeaderName: typeof validateHeaderName;
  /** {@linkcode validateHeaderValue}. */
  readonly validateHeaderValue: typeof validateHeaderValue;
  /** The agent of requests that bring none; may be assigned. */
  globalAgent: Agent;
}

/** `node:http` with our client in it. */
export type HttpModule = Omit<typeof builtin, keyof HttpClientHalf> & HttpClientHalf;

/** The types that @types/node names as `http.IncomingMessage` where its default export is imported. */
declare namespace http {
  /** {@linkcode Agent}. */
  export type Agent = InstanceType<HttpModule["Agent"]>;
  /** Options of an agent. */
  export type AgentOptions = OwnAgentOptions;
  /** {@linkcode ClientRequest}. */
  export type ClientRequest = ReturnType<HttpModule["request"]>;
  /** Node's. */
  export type ClientRequestArgs = builtin.ClientRequestArgs;
  /** Node's. */
  export type IncomingHttpHeaders = builtin.IncomingHttpHeaders;
  /** {@linkcode IncomingMessage}. */
  export type IncomingMessage = InstanceType<HttpModule["IncomingMessage"]>;
  /** Node's. */
  export type InformationEvent = builtin.InformationEvent;
  /** Node's. */
  export type OutgoingHttpHeader = builtin.OutgoingHttpHeader;
  /** Node's. */
  export type OutgoingHttpHeaders = builtin.OutgoingHttpHeaders;
  /** Node's. */
  export type OutgoingMessage = builtin.OutgoingMessage;
  /** Node's. */
  export type RequestListener = builtin.RequestListener;
  /** {@linkcode RequestOptions}. */
  export type RequestOptions = Parameters<HttpModule["request"]>[1];
  /** Node's. */
  export type Server = builtin.Server;
  /** Node's. */
  export type ServerOptions = builtin.ServerOptions;
  /** Node's. */
  export type ServerResponse<Request extends builtin.IncomingMessage = builtin.IncomingMessage> =
    builtin.ServerResponse<Request>;
}

// What the runtime's own server gives to its handlers.
for (const each of [IncomingMessage, OwnIncomingMessage]) countAs(each, builtin.IncomingMessage);
lendPrototype(OwnIncomingMessage, builtin.IncomingMessage, OwnIncomingMessage._isOwn);
for (const each of [OutgoingMessage, OwnOutgoingMessage]) countAs(each, builtin.OutgoingMessage);
setMaxHeaderSize(maxHeaderSize);

const theirs = (builtin as unknown as { default: object }).default;
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
    // Not where the runtime has none.
    ..."setGlobalProxyFromEnv" in theirs ? { setGlobalProxyFromEnv } : undefined,
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
