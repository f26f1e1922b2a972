/**
 * fetch by the Fetch Standard over `agent.request`. Owns redirects, integrity and the schemes; what is given is read by
 * `fetch_request.ts`, the Response made by `fetch_response.ts`. Knows an agent by its `request` alone.
 *
 * @module
 */

import {
  ArgumentTypeError,
  IntegrityError,
  invalidArgType,
  RedirectError,
  TimeoutError,
} from "./core/errors.ts";
import type { RequestTimeouts } from "./deadlines.ts";
import { type FetchInit, type FetchRequest, readFetch, type RequestAgent } from "./fetch_request.ts";
import { fetchFailure, toResponse } from "./fetch_response.ts";
import type { AgentResponse } from "./lean_response.ts";
import { type PartInit, RequestSeries, SERIES } from "./request_series.ts";
import { drain } from "./response_drain.ts";
import { systemClock } from "../clock.ts";

/** A fetch that sends its requests through an agent. */
export type AgentFetch = (input: string | URL | Request, init?: FetchInit) => Promise<Response>;

/** Fetch Standard, "HTTP-redirect fetch": a 21st redirect is an error. */
const MAX_REDIRECTS = 20;
// The runtime's own, for what has no connection; somebody may put ours in its place.
const runtimeFetch = globalThis.fetch;

/**
 * Makes a web-standard fetch over an agent: give it to an SDK that takes a `fetch`.
 *
 * Redirects are followed (20; credentials, cookies and Host are left behind at another origin; a body that can be read
 * once is not sent again: error), bodies are decoded, `init.agent`, `init.timeouts` and `init.retry` are understood.
 * data: and blob: URLs go to the runtime's fetch. It fails as the Fetch Standard has it: with the signal's reason
 * after an abort, else with a TypeError; its `code` and `cause` are those of `agent.request`.
 *
 * Differs from the standard as every server's fetch does: no CORS, cache, cookies or forbidden header names, and with
 * `redirect: "manual"` the redirect itself is the response.
 *
 * @param agent the agent, or a function that gives one for each call
 *
 * @example
 * ```ts
 * import { Agent, createFetch } from "@holdfast/agent";
 *
 * const fetch = createFetch(new Agent({ keepAlive: true, maxSockets: 8 }));
 * const response = await fetch("http://127.0.0.1:8080/");
 * console.log(response.status, await response.text());
 * ```
 */
export function createFetch(agent: RequestAgent | (() => RequestAgent)): AgentFetch {
  const agentOf = typeof agent === "function" ? agent : () => agent;
  return async function fetch(input: string | URL | Request, init: FetchInit = {}): Promise<Response> {
    const read = readFetch(input, init ?? {});
    // Awaited only where there is something to wait for: each await is a turn of the microtask queue.
    const request = read instanceof Promise ? await read : read;
    if (request.url.protocol !== "http:" && request.url.protocol !== "https:") {
      return await otherScheme(request.url, input, init);
    }
    const series = new RequestSeries();
    try {
      return await follow(readAgent(init.agent) ?? agentOf(), request, init, series);
    } catch (error) {
      throw fetchFailure(error, request.signal);
    } finally {
      series.end();
    }
  };
}

function readAgent(agent: unknown): RequestAgent | undefined {
  if (agent === undefined || agent === null) return undefined;
  if (typeof (agent as Partial<RequestAgent>).request === "function") return agent as RequestAgent;
  // Not left out in silence: a runtime's own agent may be there for its proxy or its certificates.
  throw invalidArgType("init.agent", "an instance of Agent", agent);
}

async function otherScheme(url: URL, input: string | URL | Request, init: FetchInit): Promise<Response> {
  switch (url.protocol) {
    case "data:":
    case "blob:":
      return await runtimeFetch(input, init as RequestInit);
    default:
      throw new ArgumentTypeError("ERR_INVALID_PROTOCOL", `Cannot fetch the scheme "${url.protocol}"`);
  }
}

/** All hops are one request to the agent, whose end waits for the last of them. */
async function follow(
  agent: RequestAgent,
  request: FetchRequest,
  init: FetchInit,
  series: RequestSeries,
): Promise<Response> {
  const { signal } = request;
  const { retry } = init;
  let { timeouts } = init;
  for (let redirects = 0;; redirects++) {
    const { url, method, headers, body } = request;
    const part: PartInit = {
      method,
      headers,
      body,
      signal,
      timeouts,
      retry,
      decode: true,
      [SERIES]: series,
    };
    const response = await agent.request(url, part);
    const location = isRedirect(response.status)
      ? response.headers.location as string | undefined
      : undefined;
    if (location === undefined || request.redirect === "manual") {
      const facts = { url, isRedirected: redirects > 0, signal, isBodyless: method === "HEAD" };
      const { integrity } = request;
      return toResponse(
        response,
        facts,
        integrity === "" ? undefined : await checkedBody(response, integrity),
      );
    }
    drain(response.body, systemClock);
    if (request.redirect === "error") throw new RedirectError("Met a redirect, which init.redirect forbids");
    if (redirects === MAX_REDIRECTS) throw new RedirectError(`Met more than ${MAX_REDIRECTS} redirects`);
    redirectTo(request, response.status, locationUrl(location, url));
    timeouts = restOf(timeouts, response);
  }
}

/** The total is for all hops together. */
function restOf(timeouts: RequestTimeouts | undefined, response: AgentResponse): RequestTimeouts | undefined {
  if (timeouts?.total === undefined || timeouts.total === 0) return timeouts;
  const total = timeouts.total - (response.timings.firstByte ?? 0);
  if (total <= 0) throw new TimeoutError("total", timeouts.total);
  return { ...timeouts, total };
}

function isRedirect(status: number): boolean {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308;
}

function locationUrl(location: string, base: URL): URL {
  let url: URL;
  try {
    url = new URL(asUtf8(location), base);
  } catch {
    throw new RedirectError("Met a redirect to something that is no URL");
  }
  if (url.protocol !== "http:" && url.protocol !== "https:") {
    throw new RedirectError(`Met a redirect to the scheme "${url.protocol}"`);
  }
  // Fetch Standard, "HTTP-redirect fetch" step 8, where nothing is of the same origin: a server does not choose whom we are to others.
  if (url.username !== "" || url.password !== "") {
    throw new RedirectError("Met a redirect to a URL that holds credentials");
  }
  // Fetch Standard, "location URL": the fragment stays, unless there is another.
  if (url.hash === "" && base.hash !== "") url.hash = base.hash;
  return url;
}

// Header values are read byte by byte; a Location that is not ASCII is UTF-8 in practice.
function asUtf8(text: string): string {
  // deno-lint-ignore no-control-regex -- the ASCII characters are meant
  if (/^[\x00-\x7f]*$/.test(text)) return text;
  const bytes = Uint8Array.from(text, (character) => character.charCodeAt(0));
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    return text; // Latin-1 after all.
  }
}

/** Describe a body that is not sent any more: Fetch Standard, "request-body-header name", and our framing. */
const BODY_HEADERS: ReadonlySet<string> = new Set([
  "content-encoding",
  "content-language",
  "content-length",
  "content-location",
  "content-type",
  "expect",
  "trailer",
  "transfer-encoding",
]);
/** Are for one origin alone. */
const ORIGIN_HEADERS: ReadonlySet<string> = new Set([
  "authorization",
  "cookie",
  "host",
  "proxy-authorization",
]);

// Fetch Standard, "HTTP-redirect fetch".
function redirectTo(request: FetchRequest, status: number, url: URL): void {
  const { method } = request;
  if (status !== 303 && !request.isReplayable) {
    throw new RedirectError("Cannot send a body again that can be read once");
  }
  const becomesGet = status === 303
    ? method !== "GET" && method !== "HEAD"
    : status < 303 && method === "POST";
  if (becomesGet) {
    request.method = "GET";
    request.body = undefined;
    request.isReplayable = true;
    leaveOut(request, BODY_HEADERS);
  }
  if (url.origin !== request.url.origin) leaveOut(request, ORIGIN_HEADERS);
  request.url = url;
}

function leaveOut(request: FetchRequest, names: ReadonlySet<string>): void {
  request.headers = request.headers.filter(([name]) => !names.has(name.toLowerCase()));
}

const HASHES = ["SHA-256", "SHA-384", "SHA-512"] as const;

/** The whole body, where it has to be judged first (Subresource Integrity, "Do bytes match metadataList?"). */
async function checkedBody(response: AgentResponse, integrity: string): Promise<Uint8Array | undefined> {
  const items = [...integrity.matchAll(/(?:^|\s)sha(256|384|512)-([A-Za-z0-9+/_-]+=*)(?:\?\S*)?(?=\s|$)/g)];
  if (items.length === 0) return undefined;
  const bytes = await response.body.bytes();
  const strongest = Math.max(...items.map(([, bits]) => Number(bits)));
  const hash = HASHES.find((name) => name.endsWith(String(strongest)))!;
  const digest = new Uint8Array(await crypto.subtle.digest(hash, bytes as Uint8Array<ArrayBuffer>));
  const actual = btoa(String.fromCharCode(...digest));
  const wanted = items.filter(([, bits]) => Number(bits) === strongest).map(([, , value]) =>
    standardBase64(value!)
  );
  if (wanted.includes(actual)) return bytes;
  throw new IntegrityError("The body does not match init.integrity");
}

/** Base64 as btoa() has it; integrity may be in the alphabet for URLs. */
function standardBase64(text: string): string {
  return text.replaceAll("-", "+").replaceAll("_", "/");
}
