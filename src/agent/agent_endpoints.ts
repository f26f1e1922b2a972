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
import { hostHeaderOf, mergeOptions, type WatchedOptions } from "./agent_dial.ts";
import { isReplaced } from "./agent_hooks.ts";
import {
  EndpointTable,
  isSamePlace,
  type KnownEndpoint,
  namesNoPlace,
  type NodeOptions,
  plainName,
  secureName,
} from "./endpoint_table.ts";
import type { Place } from "./core/pool.ts";
import type { SpareParsers } from "./core/spare_parsers.ts";
import { RecentMap } from "./recent_map.ts";
import { authorizationOf, type RequestTarget, unbracketed } from "./options.ts";
import { originOf, plainTarget, readInput, readPlace, type RequestInput } from "./request_input.ts";
import type { AgentRequestInit } from "./request_plan.ts";
import type { ConnectOptions } from "../runtime/socket.ts";

/** Origins whose endpoint is remembered for `agent.request()`. */
const MAX_ORIGINS = 32_768;

/** What {@linkcode AgentEndpoints} reads of its agent, when it is needed. */
export interface EndpointAgent {
  /** Its options. */
  readonly options: object;
  /** Protocol of requests of node:http. */
  readonly protocol: string;
  /** Connections are kept for later requests. */
  readonly keepAlive: boolean;
  /** Delay of the first TCP keep-alive probe, ms. */
  readonly keepAliveMsecs: number;
  /** Node's name of an origin. */
  getName(options?: ClientRequestArgs): string;
}

/** An origin whose endpoint has been derived. */
interface KnownOrigin {
  /** As a URL serialises it (URL Standard, section 4.7). */
  readonly origin: string;
  /** Of the Host field. */
  readonly host: string;
  readonly endpoint: KnownEndpoint;
}

/** See the file's comment. */
export class AgentEndpoints {
  readonly #agent: EndpointAgent;
  readonly #table = new EndpointTable();
  #options: WatchedOptions;
  /** By their text, for as long as the options stay as they are. */
  readonly #origins = new RecentMap<KnownOrigin>(MAX_ORIGINS);
  #originsVersion = -1;
  /** That of the last `agent.request()`, as long as the options stay as they are. */
  #lastOrigin: KnownOrigin | undefined;
  /** The last plain endpoint of a request of ours, for as long as the options stay as they are. */
  #last: KnownEndpoint | undefined;
  #lastVersion = -1;

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
    this.#originsVersion = this.#lastVersion = -1;
  }

  /** The endpoint of a request of node:http: with its own options, because a createConnection may read any of them. */
  ofNode(options: NodeOptions): KnownEndpoint {
    const isSecure = this.#agent.protocol === "https:" || options["protocol"] === "https:";
    const isReplacedName = isReplaced(this.#agent.getName);
    const nameOf = (of: NodeOptions): string => this.#nameOf(of);
    const { name, place, connect, parsers } = this.#table.find(options, isSecure, nameOf, isReplacedName);
    return { name, place, connect, options, isSecure, parsers };
  }

  /**
   * The endpoint of a request of our own, whose `given` options nobody else can write to: they are merged when somebody asks
   * for them, and where they lead to the place of the last one it is not looked up again.
   */
  ofRequest(given: NodeOptions, request: object): KnownEndpoint {
    const { version, current } = this.#options;
    const hostHeader = hostHeaderOf(request);
    if (!this.#isPlain(given)) return this.ofNode(mergeOptions(current, given, hostHeader));
    if (
      this.#last === undefined || this.#lastVersion !== version || !isSamePlace(this.#last.options, given)
    ) {
      const merged = mergeOptions(current, given, hostHeader);
      if (!namesNoPlace(current)) return this.ofNode(merged);
      this.#last = this.#table.find(merged, false, (of) => this.#nameOf(of));
      this.#lastVersion = version;
    }
    return new RequestEndpoint(this.#last, current, given, hostHeader);
  }

  #isPlain(given: NodeOptions): boolean {
    const { protocol, getName, options } = this.#agent;
    return protocol !== "https:" && given["protocol"] !== "https:" && options === this.#options.shown &&
      !isReplaced(getName);
  }

  /** The target of `agent.request()`. Throws ERR_INVALID_URL, ERR_INVALID_PROTOCOL and what `init` has wrong. */
  target(input: RequestInput, init: AgentRequestInit | undefined): RequestTarget {
    const known = typeof input === "string" ? this.#ofKnownOrigin(input, init) : undefined;
    if (known !== undefined) return known;
    const { url, path } = readInput(input);
    const place = readPlace(init);
    const { host } = url;
    const authorization = authorizationOf(url);
    const endpoint = place === undefined
      ? (this.#lastOrigin = this.#ofOrigin(url)).endpoint
      : this.#ofUrl(url, isReplaced(this.#agent.getName), place);
    return { endpoint, host, path, authorization };
  }

  /** Most programs ask few origins many times. */
  #ofKnownOrigin(input: string, init: AgentRequestInit | undefined): RequestTarget | undefined {
    if (this.#originsVersion !== this.#options.version) return undefined;
    let known = this.#lastOrigin;
    let path = known && plainTarget(input, known.origin);
    if (path === undefined) {
      known = this.#origins.get(originOf(input));
      path = known && plainTarget(input, known.origin);
    }
    if (path === undefined || readPlace(init) !== undefined || isReplaced(this.#agent.getName)) {
      return undefined;
    }
    this.#lastOrigin = known;
    const { endpoint, host } = known!;
    return { endpoint, host, path, authorization: undefined };
  }

  #nameOf(options: NodeOptions): string {
    // A user's own may give a number, which Node makes the name of a property, too.
    return String(this.#agent.getName(options as ClientRequestArgs));
  }

  #ofOrigin(url: URL): KnownOrigin {
    const { origin, host } = url;
    const isReplacedName = isReplaced(this.#agent.getName);
    if (this.#originsVersion === this.#options.version && !isReplacedName) {
      const known = this.#origins.get(origin);
      if (known !== undefined) return known;
    } else {
      this.#origins.clear();
      this.#originsVersion = this.#options.version;
    }
    const made = { origin, host, endpoint: this.#ofUrl(url, isReplacedName) };
    this.#origins.set(origin, made);
    return made;
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

/** A known endpoint with the options of one request. Holds none of the request: connections keep the endpoint of their first. */
class RequestEndpoint implements KnownEndpoint {
  readonly name: string;
  readonly place: Place;
  readonly connect: ConnectOptions;
  readonly isSecure: boolean;
  readonly parsers: SpareParsers;
  readonly #own: object;
  readonly #given: NodeOptions;
  readonly #hostHeader: unknown;
  #options: NodeOptions | undefined;

  constructor(known: KnownEndpoint, own: object, given: NodeOptions, hostHeader: unknown) {
    this.name = known.name;
    this.place = known.place;
    this.connect = known.connect;
    this.isSecure = known.isSecure;
    this.parsers = known.parsers;
    this.#own = own;
    this.#given = given;
    this.#hostHeader = hostHeader;
  }

  get options(): NodeOptions {
    return this.#options ??= mergeOptions(this.#own, this.#given, this.#hostHeader);
  }
}
