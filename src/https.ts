/**
 * A drop-in for the client half of `node:https`, over our Agent: `request`, `get`, `Agent`, `globalAgent`. The server half is
 * the runtime's own, passed through.
 *
 * @example
 * ```ts
 * import https from "@holdfast/agent/https";
 *
 * https.get("https://127.0.0.1:8443/", { ca: "..." }, (response) => {
 *   console.log(response.statusCode);
 *   response.resume();
 * });
 * ```
 *
 * @module
 */

import * as builtin from "node:https";
import { HttpsAgent as Agent } from "./agent/agent.ts";
import { ClientRequest as OwnClientRequest } from "./agent/client_request.ts";
import { readArguments } from "./agent/client_request_options.ts";
import { makeGlobalHttpsAgent } from "./agent/global_agent.ts";
import type { AgentOptions as OwnAgentOptions } from "./agent/options.ts";
import type { ClientRequest, OwnRequestOptions, ResponseListener } from "./http.ts";

export { Agent };
export type { AgentLike, RetryOption } from "./agent/client_request_options.ts";
export type { AgentOptions } from "./agent/options.ts";
export type { ClientRequest, OwnRequestOptions, ResponseListener } from "./http.ts";
export type { ServerOptions } from "node:https";

/** Options of `https.request()`: those of `http.request()` and every one of tls.connect(). */
export interface RequestOptions
  extends Omit<builtin.RequestOptions, keyof OwnRequestOptions>, OwnRequestOptions {
  /** Protocols to choose from (RFC 7301). */
  ALPNProtocols?: readonly string[] | Uint8Array | undefined;
  /** A context of tls.createSecureContext(). */
  secureContext?: object | undefined;
  /** A session to resume. */
  session?: Uint8Array | undefined;
}

/** The runtime's own. */
export const Server: typeof builtin.Server = builtin.Server;
/** The runtime's own. */
export type Server = builtin.Server;
/** The runtime's own. */
export const createServer: typeof builtin.createServer = builtin.createServer;

/**
 * The agent of requests that bring none. To put another in its place assign to the default export's `globalAgent`, or in
 * CommonJS to that of `require("@holdfast/agent/https")`.
 */
export let globalAgent: Agent = makeGlobalHttpsAgent() as Agent;

/** Node's `https.request(url[, options][, callback])`: as `http.request()`, over TLS; every option of tls.connect() too. */
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
  const read = readArguments(url, options, callback);
  const secure = { ...read.options, _defaultAgent: globalAgent };
  return new OwnClientRequest(secure, read.callback as never) as unknown as ClientRequest;
}

/** {@linkcode request} and its end(). */
export function get(options: RequestOptions | string | URL, callback?: ResponseListener): ClientRequest;
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
  return request(url as string, options as RequestOptions, callback).end();
}

/** What differs from the runtime's own module. */
export interface HttpsClientHalf {
  /** {@linkcode Agent}. */
  readonly Agent: typeof Agent;
  /** {@linkcode request}. */
  readonly request: typeof request;
  /** {@linkcode get}. */
  readonly get: typeof get;
  /** The agent of requests that bring none; may be assigned. */
  globalAgent: Agent;
}

/** `node:https` with our client in it. */
export type HttpsModule = Omit<typeof builtin, keyof HttpsClientHalf> & HttpsClientHalf;

/** The types that @types/node names as `https.Agent` where its default export is imported. */
declare namespace https {
  /** {@linkcode Agent}. */
  export type Agent = InstanceType<HttpsModule["Agent"]>;
  /** Options of an agent. */
  export type AgentOptions = OwnAgentOptions;
  /** {@linkcode RequestOptions}. */
  export type RequestOptions = Parameters<HttpsModule["request"]>[1];
  /** Node's. */
  export type Server = builtin.Server;
  /** Node's. */
  export type ServerOptions = builtin.ServerOptions;
}

const passed = Object.fromEntries(Object.entries(builtin).filter(([name]) => name !== "default"));

/** One object of `node:https`'s shape; its `globalAgent` can be assigned. */
const https: HttpsModule = Object.defineProperty(
  { ...passed, Agent, request, get },
  "globalAgent",
  {
    get: () => globalAgent,
    set(agent: Agent): void {
      globalAgent = agent;
    },
    enumerable: true,
    configurable: true,
  },
) as unknown as HttpsModule;

export default https;
