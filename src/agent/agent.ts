/**
 * The Agent: Node's `http.Agent` for everyone. Owns the public surface: Node's members, methods and events, and ours; the
 * work is `connection_pool.ts`'s and `request.ts`'s, and where a request goes `agent_endpoints.ts`'s.
 *
 * Strategy: every method of Node's is there, does what its documentation says, and may be replaced, on a subclass or on the
 * instance; `agent_hooks.ts` finds out who has. Members are plain and mutable where Node's are, and read when they are
 * needed.
 *
 * @module
 */

import { EventEmitter } from "node:events";
import type { ClientRequestArgs } from "node:http";
import type { Duplex } from "node:stream";
import { callDial, type DialAnswer, dialOptions, mergedOptions, WatchedOptions } from "./agent_dial.ts";
import { AgentEndpoints } from "./agent_endpoints.ts";
import { AgentHooks, isReplaced, noteDefaults } from "./agent_hooks.ts";
import { type AgentStats, snapshotOf, statsOf } from "./agent_report.ts";
import type { AgentRequest, AgentSocket, RequestsView, SocketsView } from "./agent_types.ts";
import { poolViews } from "./agent_views.ts";
import { callable } from "./callable.ts";
import { atOnce, ConnectionPool } from "./connection_pool.ts";
import { type NodeOptions, plainName, secureName } from "./endpoint_table.ts";
import type { DispatchableRequest } from "./exchange.ts";
import { type AgentFetch, createFetch } from "./fetch.ts";
import { ForeignRequest, type NodeRequest } from "./foreign_request.ts";
import { LiveSettings } from "./live_settings.ts";
import { type AgentOptions, readAgentOptions, type RequestTarget } from "./options.ts";
import { discard } from "./pooled_stream.ts";
import { request } from "./request.ts";
import type { RequestInput } from "./request_input.ts";
import type { AgentResponse } from "./lean_response.ts";
import type { AgentRequestInit } from "./request_plan.ts";
import { outside } from "../runtime/context.ts";
import { afterPoll, connectStream, connectTlsStream, createConnect, StreamSessions } from "../runtime/mod.ts";
import { systemClock } from "../clock.ts";

/** What {@linkcode Agent} is made of. */
export class AgentBase extends EventEmitter {
  /** Node's default of `maxSockets`, read by each new agent. */
  static defaultMaxSockets: number = Infinity;

  /** The options that the agent was made with; what is written here holds from the next request on. */
  // deno-lint-ignore no-explicit-any -- it is every option of every version of Node's, and writable
  declare options: { [name: string]: any };
  /** Port of requests of node:http that name none. */
  defaultPort: number;
  /** Protocol of requests of node:http. */
  protocol: string;
  /** Connections are kept for later requests. */
  keepAlive: boolean;
  /** Delay of the first TCP keep-alive probe of a parked connection, ms. */
  keepAliveMsecs: number;
  /** Taken off the server's `Keep-Alive: timeout` hint, ms. */
  agentKeepAliveTimeoutBuffer: number;
  /** Connections to one origin at once. */
  maxSockets: number;
  /** Parked connections to one origin. */
  maxFreeSockets: number;
  /** Connections to all origins at once. */
  maxTotalSockets: number;
  /** Which parked connection is used first. */
  scheduling: "lifo" | "fifo";
  /** Connections in use, being made and being closed: name to streams; a live view, the pool does not heed what is written into it. */
  readonly sockets: SocketsView;
  /** Parked connections: name to streams; a live view, as `sockets`. */
  readonly freeSockets: SocketsView;
  /** Requests in the queue: name to requests; a live view, as `sockets`. */
  readonly requests: RequestsView;
  /** Connections in any state: what `maxTotalSockets` counts. */
  declare readonly totalSocketCount: number;
  readonly #hooks: AgentHooks;
  readonly #pool: ConnectionPool;
  readonly #settings: LiveSettings;
  readonly #endpoints: AgentEndpoints;
  #fetch: AgentFetch | undefined;

  /**
   * Opens nothing yet.
   *
   * @throws TypeError or RangeError for an option of the wrong type or out of its range: ERR_INVALID_ARG_TYPE,
   * ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE, ERR_UNSUPPORTED_OPTION
   */
  constructor(options?: AgentOptions) {
    const settings = readAgentOptions(options, AgentBase.defaultMaxSockets);
    super({ captureRejections: options?.captureRejections === true });
    const { runtime, clock, ...shown } = options ?? {};
    const { maxCachedSessions } = shown;
    const watched = new WatchedOptions({
      __proto__: null,
      ...shown,
      noDelay: shown.noDelay ?? true,
      path: null,
    });
    this.#endpoints = new AgentEndpoints(this, watched);
    this.#ownAccessor("options", () => this.#endpoints.options.shown, (value) => {
      this.#endpoints.options = new WatchedOptions(value as Record<string, unknown>);
    });
    this.defaultPort = options?.defaultPort || 80;
    this.protocol = options?.protocol || "http:";
    this.keepAlive = settings.keepAlive;
    this.keepAliveMsecs = settings.keepAliveMsecs;
    this.agentKeepAliveTimeoutBuffer = settings.agentKeepAliveTimeoutBuffer;
    this.maxSockets = settings.maxSockets;
    this.maxFreeSockets = settings.maxFreeSockets;
    this.maxTotalSockets = settings.maxTotalSockets;
    this.scheduling = settings.scheduling;
    this.#hooks = new AgentHooks(this);
    this.#settings = new LiveSettings(this, settings);
    this.#pool = new ConnectionPool(
      this.#settings,
      createConnect({ runtime, maxCachedSessions }),
      clock ?? systemClock,
      this.#hooks,
      clock === undefined ? afterPoll : atOnce,
      createConnect({ runtime: runtime ?? "node", maxCachedSessions }),
    );
    const { sockets, freeSockets, requests } = poolViews(this.#pool);
    this.sockets = sockets;
    this.freeSockets = freeSockets;
    this.requests = requests;
    this.#ownAccessor("totalSocketCount", () => this.#pool.connections.size, () => {});
    this.on("free", this.#hooks.pooling = this.#onFree);
    this.on("newListener", this.#onNewListener);
  }

  /**
   * Sends a request over a pooled connection; resolves once the response's head has come. The body has to be read or
   * dumped, so that the connection can serve others.
   *
   * Rejects with TypeError (ERR_INVALID_URL, ERR_INVALID_PROTOCOL, ERR_INVALID_HTTP_TOKEN, ERR_INVALID_CHAR...) before a
   * connection is asked for; SocketError (ECONNREFUSED, ENOTFOUND, CERT_HAS_EXPIRED...) when none could be made;
   * ConnectionClosedError (ECONNRESET) and ProtocolError (HPE_...) when the server fails; AbortError (ABORT_ERR);
   * AgentDestroyedError (ERR_AGENT_DESTROYED), AgentClosedError (ERR_AGENT_CLOSED).
   *
   * @example
   * ```ts
   * import { Agent } from "@holdfast/agent";
   *
   * const agent = new Agent({ keepAlive: true });
   * const { status, body } = await agent.request("http://127.0.0.1:8080/items", {
   *   method: "POST",
   *   headers: { "content-type": "application/json" },
   *   body: JSON.stringify({ name: "kelp" }),
   * });
   * console.log(status, await body.json());
   * ```
   */
  request(url: RequestInput, init?: AgentRequestInit): Promise<AgentResponse> {
    let target: RequestTarget;
    try {
      target = this.#endpoints.target(url, init);
    } catch (error) {
      return Promise.reject(error);
    }
    return request(this.#pool, target, init);
  }

  /**
   * A web-standard fetch over this agent; it needs no `this`, so it may be handed to an SDK as it is: `{ fetch: agent.fetch }`.
   *
   * @example
   * ```ts
   * import { Agent } from "@holdfast/agent";
   *
   * const { fetch } = new Agent({ keepAlive: true });
   * const response = await fetch("http://127.0.0.1:8080/");
   * console.log(response.status, await response.text());
   * ```
   */
  get fetch(): AgentFetch {
    return this.#fetch ??= createFetch(this);
  }

  /**
   * Takes a request of node:http: it is given a free stream, a new one, or a place in the queue.
   *
   * Node's http document does not name it, but every ClientRequest calls it, and libraries replace it.
   */
  addRequest(
    req: AgentRequest,
    options: ClientRequestArgs | string,
    port?: number | string,
    localAddress?: string,
  ): void {
    const given = typeof options === "string" ? { host: options, port, localAddress } : options;
    const ours = req as unknown as Partial<DispatchableRequest>;
    if (ours._owns?.(given) === true) {
      return ours._dispatchTo!(this.#pool, this.#endpoints.ofRequest(given as NodeOptions, req));
    }
    const endpoint = this.#endpoints.ofNode(mergedOptions(this, given, req));
    if (ours._dispatchTo !== undefined) return ours._dispatchTo(this.#pool, endpoint);
    const foreign = new ForeignRequest(this.#pool, req as unknown as NodeRequest, endpoint, this.#settings);
    // What Deno sends again gets a connection that cannot be stale.
    this.#pool.ask(foreign, (req as unknown as NodeRequest)._retrying === true);
    foreign.watch();
  }

  /**
   * Makes a stream for a request, by `createConnection`, and calls back with it or with an error, once.
   *
   * Node's http document does not name it, but libraries replace it.
   */
  createSocket(
    req: AgentRequest,
    options: ClientRequestArgs,
    callback: (error?: unknown, stream?: Duplex) => void,
  ): void {
    const dialled = dialOptions(this, this.getName(options), options, req);
    let isAnswered = false;
    let first: Duplex | null | undefined;
    const answer: DialAnswer = (error, stream) => {
      if (!isAnswered) {
        isAnswered = true;
        first = stream;
        callback(error, stream);
      } else if (stream !== undefined && stream !== null && stream !== first) {
        this.#discardUnknown(stream);
      }
    };
    if (!isReplaced(this.createConnection)) {
      return answer(null, this.createConnection(dialled as ClientRequestArgs) as Duplex);
    }
    callDial(
      (called) => this.createConnection(dialled as ClientRequestArgs, called),
      answer,
    );
  }

  /**
   * Called with a stream that is about to be parked; a falsy result has it closed. By default switches TCP keep-alive on,
   * lets the process go, and returns true.
   */
  keepSocketAlive(socket: Duplex): boolean {
    const { setKeepAlive, unref } = socket as Partial<AgentSocket>;
    setKeepAlive?.call(socket, true, this.keepAliveMsecs);
    unref?.call(socket);
    return true;
  }

  /** Called with a parked stream that is about to carry a request. By default lets it hold the process again. */
  reuseSocket(socket: Duplex, _request: AgentRequest): void {
    (socket as Partial<AgentSocket>).ref?.call(socket);
  }

  /** Takes a stream out of the agent; who uses it goes on, and its place is free. */
  removeSocket(socket: Duplex, _options?: object): void {
    this.#hooks.connectionOf(socket)?.detach();
  }

  /** Node's name of an origin: `host:port:localAddress`, and the family or the socket's path where they are given. */
  getName(options?: ClientRequestArgs): string {
    return plainName((options ?? {}) as NodeOptions);
  }

  /**
   * Ends everything at once: requests queued and under way fail (ERR_AGENT_DESTROYED; those of node:http under way with
   * ECONNRESET), every socket is closed. The agent stays usable, as Node's does.
   *
   * Two of the runtimes' own sockets let go of the system's connection later: Bun's during a connect, Deno's during a TLS
   * handshake. `runtime: "node"` is the way out (docs/sockets.md).
   */
  destroy(): void {
    this.#pool.destroy();
  }

  /**
   * Takes no request any more (ERR_AGENT_CLOSED), lets those it has taken end, their retries, redirects and waits for
   * Retry-After included, and resolves once every connection is closed. Differs from Node: new.
   *
   * @example
   * ```ts
   * import { Agent } from "@holdfast/agent";
   *
   * const agent = new Agent({ keepAlive: true });
   * const { body } = await agent.request("http://127.0.0.1:8080/");
   * await body.text();
   * await agent.close();
   * ```
   */
  close(): Promise<void> {
    return this.#pool.shutDown();
  }

  /** The same as {@linkcode AgentBase.close}: `await using agent = new Agent()`. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  /** Closes the connections that nobody uses. Differs from Node: new. */
  closeIdle(): void {
    this.#pool.closeIdle();
  }

  /** Counts, now and so far, of the whole and of each name. Differs from Node: new. */
  stats(): AgentStats {
    return statsOf(this.#pool);
  }

  /** The pool, printed for people: a line for the agent, for each origin and for each connection. Differs from Node: new. */
  snapshot(): string {
    return snapshotOf(this.#pool);
  }

  /** Node's own listener of 'free', in Node's place: before all others. */
  readonly #onFree = (stream: Duplex, options?: object): void => {
    this.#hooks.pool(
      this.#pool,
      stream,
      () => this.#endpoints.ofNode(mergedOptions(this, options ?? {}, {})),
    );
  };

  readonly #onNewListener = (event: string | symbol): void => {
    if (event !== "keylog" || this.listenerCount("keylog") > 0) return;
    for (const { stream } of this.#pool.connections) if (stream !== undefined) this.#hooks.passKeylog(stream);
  };

  #ownAccessor(name: string, get: () => unknown, set: (value: unknown) => void): void {
    Object.defineProperty(this, name, { get, set, enumerable: true, configurable: true });
  }

  /** A later answer of a createConnection, unless it is the first one told twice. */
  #discardUnknown(stream: Duplex): void {
    if (this.#hooks.connectionOf(stream) !== undefined) return;
    discard(stream);
  }
}

/** What is on the prototype and not in the class, so that it works detached. */
export interface AgentBase {
  /**
   * Makes a stream to carry requests: Node's `net.createConnection`, which it also is when called by itself. A replacement
   * may return any Duplex or a promise of one, or call back with it.
   *
   * Differs from Node: it calls back with an error, too, as Node's own documentation of the callback has it.
   */
  createConnection(...args: Parameters<CreateConnection>): ReturnType<CreateConnection>;
}

/** Node's two forms of `agent.createConnection`. */
export type CreateConnection = (
  options: ClientRequestArgs,
  callback?: (error: Error | null, stream: Duplex) => void,
) => Duplex | null | undefined;

// Named as Node names it; without `this`, so that it works detached.
function connect(...args: unknown[]): AgentSocket {
  return outside(() => connectStream(...args));
}
AgentBase.prototype.createConnection = connect as CreateConnection;

/** What {@linkcode HttpsAgent} is made of. */
export class HttpsAgentBase extends AgentBase {
  /** TLS sessions that are kept. */
  readonly maxCachedSessions: number;

  /** As {@linkcode AgentBase}'s. */
  constructor(options?: AgentOptions) {
    super({ ...options, defaultPort: options?.defaultPort ?? 443, protocol: options?.protocol ?? "https:" });
    this.maxCachedSessions = options?.maxCachedSessions ?? 100;
    streamSessions.set(this, new StreamSessions(this.maxCachedSessions));
  }

  /** Node's name of an origin: the plain one and every TLS option that it knows. */
  override getName(options?: ClientRequestArgs): string {
    return secureName(super.getName(options), (options ?? {}) as NodeOptions);
  }

  /**
   * What Node's own `https.Agent.prototype.createConnection` asks of the agent that it is called on, as mocks call it.
   *
   * Differs from Node: there is none. A session is kept by all that was verified, which Node's name does not say.
   */
  _getSession(_name: string): undefined {}

  /** As {@linkcode HttpsAgentBase._getSession}: not kept. */
  _cacheSession(_name: string, _session: Uint8Array): void {}

  /** As {@linkcode HttpsAgentBase._getSession}: there is none to forget. */
  _evictSession(_name: string): void {}
}

/** By agent. */
const streamSessions = new WeakMap<object, StreamSessions>();

// The signature of https.Agent's: (port, host, options[, callback]), beside (options[, callback]).
HttpsAgentBase.prototype.createConnection = (function createConnection(
  this: object | undefined,
  ...args: unknown[]
): AgentSocket {
  return outside(() => connectTlsStream(args, this && streamSessions.get(this)));
}) as CreateConnection;

for (const { prototype } of [AgentBase, HttpsAgentBase]) {
  noteDefaults(
    prototype.addRequest,
    prototype.createConnection,
    prototype.createSocket,
    prototype.keepSocketAlive,
    prototype.reuseSocket,
    prototype.removeSocket,
    prototype.getName,
  );
}

/** {@linkcode Agent} as a value: a class that may be called without `new`. */
export interface AgentConstructor<Instance> {
  /** Makes an agent. */
  new (options?: AgentOptions): Instance;
  /** Makes an agent, as Node's does without `new`. */
  (options?: AgentOptions): Instance;
  /** What its instances inherit. */
  readonly prototype: Instance;
  /** Node's default of `maxSockets`, read by each new agent. */
  defaultMaxSockets: number;
}

/**
 * A pool of persistent HTTP connections: Node's `http.Agent`, for its own {@linkcode AgentBase.request} and as the `agent`
 * of node:http's requests.
 *
 * Differs from Node: it is no instance of node:http's own Agent.
 *
 * @example
 * ```ts
 * import { Agent } from "@holdfast/agent";
 *
 * const agent = new Agent({ keepAlive: true, maxSockets: 8 });
 * const response = await agent.request("http://127.0.0.1:8080/");
 * console.log(response.status, await response.body.text());
 * agent.destroy();
 * ```
 */
export const Agent: AgentConstructor<AgentBase> = callable(AgentBase, { name: "Agent" });
/** An agent as an instance. */
export type Agent = AgentBase;

/**
 * The same as {@linkcode Agent}, as the `agent` of node:https's requests: Node's `https.Agent`.
 *
 * @example
 * ```ts
 * import { HttpsAgent } from "@holdfast/agent";
 * import https from "node:https";
 *
 * const agent = new HttpsAgent({ keepAlive: true });
 * https.get("https://localhost:8443/", { agent }, (response) => response.resume());
 * ```
 */
export const HttpsAgent: AgentConstructor<HttpsAgentBase> = callable(HttpsAgentBase, {
  name: "Agent",
  root: AgentBase,
});
/** An https agent as an instance. */
export type HttpsAgent = HttpsAgentBase;
