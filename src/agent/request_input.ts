/**
 * Where a request goes, in the forms that callers give. Owns what an origin with a path is. Knows no pool.
 *
 * @module
 */

import { invalidArgType, invalidArgValue } from "./core/errors.ts";
import { readUrl } from "./options.ts";
import type { AgentRequestInit } from "./request_plan.ts";
import type { TlsOptions } from "../runtime/socket.ts";

/** An origin, and what the request line says of it: sent as it is, where a URL's path would be normalised. */
export interface OriginAndPath {
  /** An http: or https: URL; its own path is not looked at. */
  readonly origin: string | URL;
  /** In origin form, beginning with "/", or "*" (RFC 9112 section 3.2). */
  readonly path: string;
}

/** Where a request goes. */
export type RequestInput = string | URL | OriginAndPath;

/** {@linkcode RequestInput}, read. ERR_INVALID_URL, ERR_INVALID_PROTOCOL, ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE. */
export function readInput(input: RequestInput): { url: URL; path: string } {
  if (typeof input !== "object" || input === null || input instanceof URL) {
    const url = readUrl(input);
    return { url, path: url.pathname + url.search };
  }
  const { origin, path } = input;
  if (typeof path !== "string") throw invalidArgType("url.path", "of type string", path);
  if (path !== "*" && !path.startsWith("/")) {
    throw invalidArgValue("url.path", 'must begin with "/", or be "*"', path);
  }
  return { url: readUrl(origin), path };
}

/** What comes before the path in a URL's text; it may be no origin at all. */
export function originOf(text: string): string {
  return text.slice(0, text.indexOf("/", "https://".length));
}

const PLAIN_TARGET = /^\/[\w\-.~!$&()*+,;=:@%/?]*$/;

/**
 * The path and query of a URL of a known `origin`, as a URL serialises it, that says them in characters which no URL changes;
 * undefined: it is another's, or has to be parsed, which takes a twelfth of a request's time (measured on Deno and Bun).
 */
export function plainTarget(text: string, origin: string): string | undefined {
  if (!text.startsWith(origin)) return undefined;
  const target = text.slice(origin.length);
  if (!PLAIN_TARGET.test(target) || target.endsWith("?")) return undefined;
  // Dot segments are resolved, "%2e" among them.
  return target.includes("/.") || target.includes("%2") ? undefined : target;
}

/** What of a connection a call says itself, over the agent's own options; undefined: nothing. */
export function readPlace(init: AgentRequestInit | undefined): Record<string, unknown> | undefined {
  if (init === undefined) return undefined;
  if (typeof init !== "object" || init === null) throw invalidArgType("init", "of type object", init);
  const { tls, socketPath } = init;
  if (tls === undefined && socketPath === undefined) return undefined;
  if (tls !== undefined && (typeof tls !== "object" || tls === null)) {
    throw invalidArgType("init.tls", "of type object", tls);
  }
  if (socketPath !== undefined && typeof socketPath !== "string") {
    throw invalidArgType("init.socketPath", "of type string", socketPath);
  }
  // The host is the URL's; `servername` is who is verified in its place.
  const { host: _host, ...own }: TlsOptions = tls ?? {};
  return socketPath === undefined ? own : { ...own, socketPath };
}
