/**
 * The lean request: a promise of a response over a Dispatcher. Owns the way in; the work is `request_plan.ts`'s (what
 * was given) and `request_exchange.ts`'s (what becomes of it). Knows no Agent, connection or pool.
 *
 * @module
 */

import { AbortError } from "./core/errors.ts";
import type { Dispatcher } from "./exchange.ts";
import type { RequestTarget } from "./options.ts";
import { type AgentResponse, LeanExchange } from "./request_exchange.ts";
import { type AgentRequestInit, planRequest } from "./request_plan.ts";
import { readBody } from "./request_body.ts";

/**
 * Sends a request and resolves with the response once its head has come.
 *
 * Everything is told by the promise, a caller's mistake too:
 *
 * - TypeError, RangeError for what cannot be sent (ERR_INVALID_HTTP_TOKEN, ERR_INVALID_CHAR, ERR_INVALID_ARG_TYPE...),
 *   before a connection is asked for
 * - SocketError when no connection could be made or it broke, ConnectionClosedError when the server ended it
 * - ProtocolError when the server broke HTTP
 * - TimeoutError when `init.timeouts` ran out, AbortError when `init.signal` aborted
 * - BodySourceError when the request's body failed
 */
export function request(
  dispatcher: Dispatcher,
  target: RequestTarget,
  init: AgentRequestInit = {},
): Promise<AgentResponse> {
  const { signal } = init;
  try {
    if (signal?.aborted) {
      const error = new AbortError(signal.reason);
      readBody(init.body)?.discard(error);
      throw error;
    }
    const exchange = new LeanExchange(
      dispatcher,
      target.endpoint,
      planRequest(dispatcher.isPersistent, target, init),
      init,
    );
    exchange.send();
    return exchange.response;
  } catch (error) {
    return Promise.reject(error);
  }
}
