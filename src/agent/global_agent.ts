/**
 * The agents that are shared by everyone in the process: the one place of the package that changes. Knows nothing of who
 * uses them.
 *
 * @module
 */

import { Agent, HttpsAgent } from "./agent.ts";
import { type AgentFetch, createFetch } from "./fetch.ts";

// Made when first asked for: a program that brings its own has none of these.
let httpAgent: (() => Agent) | undefined;
let leanAgent: Agent | undefined;

/** Node's `http.globalAgent`: keepAlive, and 5 s of idle time. */
export function makeGlobalAgent(): Agent {
  return new Agent({ keepAlive: true, scheduling: "lifo", timeout: 5_000 });
}

/** Node's `https.globalAgent`: as {@linkcode makeGlobalAgent}. */
export function makeGlobalHttpsAgent(): Agent {
  return new HttpsAgent({ keepAlive: true, scheduling: "lifo", timeout: 5_000 });
}

/** The agent of a ClientRequest that brings none. */
export function globalAgent(): Agent {
  if (httpAgent === undefined) {
    const made = makeGlobalAgent();
    httpAgent = () => made;
  }
  return httpAgent();
}

/** From now on the agent of {@linkcode globalAgent} is kept elsewhere: a variable that users see and may set. */
export function keepGlobalAgent(read: () => Agent): void {
  httpAgent = read;
}

/**
 * The agent of a `fetch` that brings none. Its bounds keep a program that asks faster than a server
 * answers from taking all descriptors; servers of Node keep an idle connection for 5 s, so that 4 s are safe.
 */
function sharedAgent(): Agent {
  return leanAgent ??= new Agent({
    keepAlive: true,
    maxSockets: 256,
    maxPending: 65_536,
    idleTimeout: 4_000,
  });
}

/**
 * A web-standard fetch over an agent that everyone shares: keepAlive, 256 connections to an origin, 65,536 requests in the
 * queue. See {@linkcode createFetch} for one over an agent of your own, or give `init.agent`.
 *
 * @example
 * ```ts
 * import { fetch } from "@holdfast/agent";
 *
 * const response = await fetch("http://127.0.0.1:8080/", { timeouts: { total: 5_000 } });
 * console.log(response.status, await response.text());
 * ```
 */
export const fetch: AgentFetch = createFetch(sharedAgent);
