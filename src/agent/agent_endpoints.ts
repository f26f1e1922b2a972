/**
 * Where an agent's requests go: the endpoint of a URL, and of a request of node:http.
 *
 * Owns the endpoint table, the agent's options as endpoints are derived from them, and the memory of origins. Knows no
 * connection and no pool.
 *
 * Strategy: the endpoint of an origin is derived once, and anew when the options have been written to; with a getName() of
 * the user's, which may look at anything, each time.
 *
 * @module
 */

import type { ClientRequestArgs } from "node:http";
import type { WatchedOptions } from "./agent_dial.ts";
import { isReplaced } from "./agent_hooks.ts";
import {
  EndpointTable,
  type KnownEndpoint,
  type NodeOptions,
  plainName,
  secureName,
} from "./endpoint_table.ts";
import { RecentMap } from "./recent_map.ts";
import { authorizationOf, type RequestTarget, unbracketed } from "./options.ts";
import { readInput, readPlace, type RequestInput } from "./request_input.ts";
import type { AgentRequestInit } from "./request_plan.ts";

/** Origins whose endpoint is remembered for `agent.request()`. */
const MAX_ORIGINS = 32_768;

/** What {@linkcode AgentEndpoints} reads of its agent, when it is needed. */
export interface EndpointAgent {
  /** Protocol of requests of node:http. */
  readonly protocol: string;
  /** Connections are kept for later requests. */
  readonly keepAlive: boolean;
  /** Delay of the first TCP keep-alive probe, ms. */
  readonly keepAliveMsecs: number;
  /** Node's name of an origin. */
  getName(options?: ClientRequestArgs): string;
}

/** See the file's comment. */
export class AgentEndpoints {
  readonly #agent: EndpointAgent;
  readonly #table = new EndpointTable();
  #options: WatchedOptions;
  /** Origin to endpoint, for as long as the options stay as they are. */
  readonly #origins = new RecentMap<KnownEndpoint>(MAX_ORIGINS);
  #originsVersion = -1;

  /** Of `agent`, with its `options`. */
  constructor(agent: EndpointAgent, options: WatchedOptions) {
    this.#agent = agent;
    this.#options = options;
  }

  /** The agent's options. */
  get options(): WatchedOptions {
    return this.#options;
  }

  set options(options: WatchedOptions) {
    this.#options = options;
    this.#originsVersion = -1;
  }

  /** The endpoint of a request of node:http: with its own options, because a createConnection may read any of them. */
  ofNode(options: NodeOptions): KnownEndpoint {
    const isSecure = this.#agent.protocol === "https:" || options["protocol"] === "https:";
    const isReplacedName = isReplaced(this.#agent.getName);
    const nameOf = (of: NodeOptions): string => this.#nameOf(of);
    const { name, key, connect, parsers } = this.#table.find(options, isSecure, nameOf, isReplacedName);
    return { name, key, connect, options, isSecure, parsers };
  }

  /** The target of `agent.request()`. Throws ERR_INVALID_URL, ERR_INVALID_PROTOCOL and what `init` has wrong. */
  target(input: RequestInput, init: AgentRequestInit | undefined): RequestTarget {
    const { url, path } = readInput(input);
    const place = readPlace(init);
    return {
      endpoint: place === undefined
        ? this.#ofOrigin(url)
        : this.#ofUrl(url, isReplaced(this.#agent.getName), place),
      host: url.host,
      path,
      authorization: authorizationOf(url),
    };
  }

  #nameOf(options: NodeOptions): string {
    return this.#agent.getName(options as ClientRequestArgs);
  }

  #ofOrigin(url: URL): KnownEndpoint {
    const { origin } = url;
    const isReplacedName = isReplaced(this.#agent.getName);
    if (this.#originsVersion === this.#options.version && !isReplacedName) {
      const known = this.#origins.get(origin);
      if (known !== undefined) return known;
    } else {
      this.#origins.clear();
      this.#originsVersion = this.#options.version;
    }
    const endpoint = this.#ofUrl(url, isReplacedName);
    this.#origins.set(origin, endpoint);
    return endpoint;
  }

  #ofUrl(url: URL, isReplacedName: boolean, place?: NodeOptions): KnownEndpoint {
    const isSecure = url.protocol === "https:";
    const host = unbracketed(url.hostname);
    const port = url.port === "" ? (isSecure ? 443 : 80) : Number(url.port);
    const options: NodeOptions = {
      __proto__: null,
      host,
      port,
      protocol: url.protocol,
      ...this.#options.shown,
      ...place,
    };
    if (this.#agent.keepAlive) {
      Object.assign(options, { keepAlive: true, keepAliveInitialDelay: this.#agent.keepAliveMsecs });
    }
    const nameOf = isReplacedName
      ? (of: NodeOptions): string => this.#nameOf(of)
      : (of: NodeOptions): string => isSecure ? secureName(plainName(of), of) : plainName(of);
    return this.#table.find(options, isSecure, nameOf, isReplacedName);
  }
}
