/**
 * The lean request: a promise of a response over a Dispatcher. Owns the way in; the work is `request_plan.ts`'s (what
 * was given) and `request_exchange.ts`'s (what becomes of it). Knows no Agent, connection or pool.
 *
 * @module
 */

import { AbortError, invalidArgType, outOfRange } from "./core/errors.ts";
import { isIdempotent, MAX_TRIES } from "./core/retry.ts";
import type { Dispatcher } from "./exchange.ts";
import type { RequestTarget } from "./options.ts";
import { type AgentResponse, LeanExchange } from "./request_exchange.ts";
import { readBody } from "./request_body.ts";
import { type AgentRequestInit, hasIdempotencyKey, planRequest, type RequestPlan } from "./request_plan.ts";
import { retryAfterMs } from "./retry_after.ts";
import type { Clock } from "../clock.ts";

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
  try {
    const retryAfter = readRetryAfter(init.retryAfter);
    if (retryAfter !== undefined) return requestLater(dispatcher, target, init, retryAfter);
    return send(dispatcher, target, init);
  } catch (error) {
    return Promise.reject(error);
  }
}

function send(
  dispatcher: Dispatcher,
  target: RequestTarget,
  init: AgentRequestInit,
  plan?: RequestPlan,
): Promise<AgentResponse> {
  const { signal } = init;
  if (signal?.aborted) {
    const error = new AbortError(signal.reason);
    (plan?.body ?? readBody(init.body))?.discard(error);
    throw error;
  }
  plan ??= planRequest(dispatcher.isPersistent, target, init);
  const exchange = new LeanExchange(dispatcher, target.endpoint, plan, init);
  exchange.send();
  return exchange.response;
}

/** Longest wait where the caller says `true`, ms. */
const MAX_RETRY_AFTER_MS = 60_000;

function readRetryAfter(retryAfter: unknown): number | undefined {
  if (retryAfter === undefined || retryAfter === false) return undefined;
  if (retryAfter === true) return MAX_RETRY_AFTER_MS;
  if (typeof retryAfter !== "number") {
    throw invalidArgType("init.retryAfter", "of type boolean or number", retryAfter);
  }
  if (retryAfter >= 0 && retryAfter <= 2_147_483_647) return retryAfter;
  throw outOfRange("init.retryAfter", "a number of milliseconds from 0", retryAfter);
}

/** Asks again as long as the server says when, it is soon enough, and the request may be repeated. */
async function requestLater(
  dispatcher: Dispatcher,
  target: RequestTarget,
  init: AgentRequestInit,
  maxMs: number,
): Promise<AgentResponse> {
  const { clock } = dispatcher;
  const plan = planRequest(dispatcher.isPersistent, target, init);
  const mayRepeat = (isIdempotent(plan.method) || hasIdempotencyKey(plan)) &&
    plan.body?.isReplayable !== false;
  const dueMs = clock.now() + plan.limits.total;
  for (let attempts = 1;; attempts++) {
    // The total is for all attempts together.
    const total = dueMs - clock.now();
    const response = await send(dispatcher, target, init, { ...plan, limits: { ...plan.limits, total } });
    const waitMs = mayRepeat && attempts < MAX_TRIES
      ? retryAfterMs(response.status, response.headers)
      : undefined;
    if (waitMs === undefined || waitMs > maxMs || clock.now() + waitMs >= dueMs) return response;
    // Whatever becomes of it: the next response is what counts.
    response.body.dump().catch(() => {});
    await wait(clock, waitMs, init.signal ?? undefined);
  }
}

/** Rejects with AbortError once `signal` aborts. */
function wait(clock: Clock, ms: number, signal: AbortSignal | undefined): Promise<void> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => {
      timer.cancel();
      reject(new AbortError(signal!.reason));
    };
    // Nothing else holds the process.
    const timer = clock.after(ms, () => {
      signal?.removeEventListener("abort", onAbort);
      resolve();
    }, { ref: true });
    signal?.addEventListener("abort", onAbort);
    if (signal?.aborted === true) onAbort();
  });
}
