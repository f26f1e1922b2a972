/**
 * The headers that a new request has: those of its options and the ones that Node adds.
 *
 * Owns their order and the rule for each. Knows no connection.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { checkHostHeader, hostLine, type RequestOptions } from "./client_request_options.ts";
import { headerEntries } from "./core/request_serializer.ts";

/** A request whose headers may still change. */
export interface HeadedRequest {
  readonly host: string;
  readonly method: string;
  readonly path: string;
  setHeader(name: string, value: string): unknown;
  /** By a name in lower case. */
  _peekHeader(key: string): unknown;
}

/**
 * Sets the headers. An array is the head as it is, and is returned: as in Node (20 and 26) neither Host nor Authorization is
 * added to it, whatever `setHost` and `auth` say; RFC 9112 section 3.2 wants a Host, so the caller has to give one.
 */
export function setHeaders(
  request: HeadedRequest,
  options: RequestOptions,
  port: number | string,
  defaultPort: number | string | undefined,
): (readonly [unknown, unknown])[] | undefined {
  const { headers } = options;
  if (Array.isArray(headers)) return [...headerEntries(headers)];
  if (headers !== undefined && headers !== null) {
    for (const [name, value] of headerEntries(headers)) request.setHeader(name as string, value as string);
  }
  const setsHost = options.setHost === undefined
    ? options.setDefaultHeaders !== false
    : Boolean(options.setHost);
  const host = request._peekHeader("host");
  checkHostHeader(host);
  if (setsHost && !host) {
    // RFC 9110 section 7.2: the authority asked for, which is the tunnel's end and not the proxy; Node does so from 26 on.
    const isTunnel = request.method === "CONNECT" && Boolean(options.path);
    request.setHeader("Host", isTunnel ? request.path : hostLine(request.host, port, defaultPort));
  }
  if (options.auth && !request._peekHeader("authorization")) {
    request.setHeader("Authorization", `Basic ${Buffer.from(options.auth).toString("base64")}`);
  }
  return undefined;
}
