/**
 * The Agent: Node's `http.Agent` for everyone. Owns the public surface and the reading of what users give; the work is
 * `connection_pool.ts`'s and `request.ts`'s.
 *
 * @module
 */

import { ConnectionPool } from "./connection_pool.ts";
import type { Endpoint } from "./exchange.ts";
import {
  type AgentOptions,
  type AgentSettings,
  authorizationOf,
  endpointOf,
  readAgentOptions,
  readUrl,
  type RequestTarget,
} from "./options.ts";
import { request } from "./request.ts";
import type { AgentResponse } from "./request_exchange.ts";
import type { AgentRequestInit } from "./request_plan.ts";
import { createConnect } from "../runtime/mod.ts";
import { systemClock } from "../clock.ts";

/** Origins whose endpoint is remembered; over it the oldest is derived anew. */
const MAX_ENDPOINTS = 1_024;

/**
 * A pool of persistent HTTP connections.
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
export class Agent {
  readonly #settings: AgentSettings;
  readonly #pool: ConnectionPool;
  readonly #endpoints = new Map<string, Endpoint>();

  /**
   * Opens nothing yet.
   *
   * @throws TypeError or RangeError for an option of the wrong type or out of its range: ERR_INVALID_ARG_TYPE,
   * ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE, ERR_UNSUPPORTED_OPTION
   */
  constructor(options?: AgentOptions) {
    this.#settings = readAgentOptions(options);
    const connect = createConnect({ runtime: options?.runtime });
    this.#pool = new ConnectionPool(this.#settings, connect, options?.clock ?? systemClock);
  }

  /**
   * Sends a request over a pooled connection; resolves once the response's head has come. The body has to be read or
   * dumped, so that the connection can serve others.
   *
   * Rejects with TypeError (ERR_INVALID_URL, ERR_INVALID_PROTOCOL, ERR_INVALID_HTTP_TOKEN, ERR_INVALID_CHAR...) before a
   * connection is asked for; SocketError (ECONNREFUSED, ENOTFOUND, CERT_HAS_EXPIRED...) when none could be made;
   * ConnectionClosedError (ECONNRESET) and ProtocolError (HPE_...) when the server fails; AbortError (ABORT_ERR);
   * AgentDestroyedError (ERR_AGENT_DESTROYED).
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
  request(url: string | URL, init?: AgentRequestInit): Promise<AgentResponse> {
    let target: RequestTarget;
    try {
      target = this.#target(readUrl(url));
    } catch (error) {
      return Promise.reject(error);
    }
    return request(this.#pool, target, init);
  }

  /**
   * Ends everything at once: requests queued and under way fail with ERR_AGENT_DESTROYED, every socket is closed. The
   * agent stays usable, as Node's does.
   */
  destroy(): void {
    this.#pool.destroy();
  }

  #target(url: URL): RequestTarget {
    return {
      endpoint: this.#endpoint(url),
      host: url.host,
      path: url.pathname + url.search,
      authorization: authorizationOf(url),
    };
  }

  #endpoint(url: URL): Endpoint {
    const { origin } = url;
    const known = this.#endpoints.get(origin);
    if (known !== undefined) return known;
    if (this.#endpoints.size === MAX_ENDPOINTS) this.#endpoints.delete(this.#endpoints.keys().next().value!);
    const endpoint = endpointOf(url, this.#settings);
    this.#endpoints.set(origin, endpoint);
    return endpoint;
  }
}
