/**
 * The agents that are shared by everyone in the process: the one place of the package that changes. Knows nothing of who
 * uses them.
 *
 * @module
 */

import { Agent, HttpsAgent } from "./agent.ts";

// Made when first asked for: a program that brings its own has none of these.
let httpAgent: Agent | undefined;
let httpsAgent: Agent | undefined;
let leanAgent: Agent | undefined;

/** Node's `http.globalAgent`: keepAlive, and 5 s of idle time. */
export function globalAgent(): Agent {
  return httpAgent ??= new Agent({ keepAlive: true, scheduling: "lifo", timeout: 5_000 });
}

/** Puts another in the place of {@linkcode globalAgent}, for all requests to come. */
export function setGlobalAgent(agent: Agent): void {
  httpAgent = agent;
}

/** Node's `https.globalAgent`: as {@linkcode globalAgent}. */
export function globalHttpsAgent(): Agent {
  return httpsAgent ??= new HttpsAgent({ keepAlive: true, scheduling: "lifo", timeout: 5_000 });
}

/** Puts another in the place of {@linkcode globalHttpsAgent}, for all requests to come. */
export function setGlobalHttpsAgent(agent: Agent): void {
  httpsAgent = agent;
}

/**
 * The agent of `fetch` and of every `request` that brings none. Its bounds keep a program that asks faster than a server
 * answers from taking all descriptors; servers of Node keep an idle connection for 5 s, so that 4 s are safe.
 */
export function sharedAgent(): Agent {
  return leanAgent ??= new Agent({
    keepAlive: true,
    maxSockets: 256,
    maxPending: 65_536,
    idleTimeout: 4_000,
  });
}
