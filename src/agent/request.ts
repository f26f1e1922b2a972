/**
 * The lean request: a promise of a response over a Dispatcher. Owns the way in; the work is `request_plan.ts`'s (what
 * was given) and `request_exchange.ts`'s (what becomes of it). Knows no Agent, connection or pool.
 *
 * @module
 */

import type { AgentResponse } from "./lean_response.ts";
import { AbortError, invalidArgType, outOfRange, tellFacts } from "./core/errors.ts";
import { isIdempotent, MAX_TRIES } from "./core/retry.ts";
import type { Dispatcher } from "./exchange.ts";
import type { RequestTarget } from "./options.ts";
import { LeanExchange } from "./request_exchange.ts";
import { type OutgoingBody, readBody } from "./request_body.ts";
import { type AgentRequestInit, hasIdempotencyKey, planRequest, type RequestPlan } from "./request_plan.ts";
import { type PartInit, RequestSeries, SERIES } from "./request_series.ts";
import { drain } from "./response_drain.ts";
import { retryAfterMs } from "./retry_after.ts";

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
  init: AgentRequestInit = NO_INIT,
): Promise<AgentResponse> {
  try {
    const retryAfter = readRetryAfter(init.retryAfter);
    if (retryAfter !== undefined) return requestLater(dispatcher, target, init, retryAfter);
    return send(dispatcher, target, init, (init as PartInit)[SERIES]).response;
  } catch (error) {
    return Promise.reject(error);
  }
}

function send(
  dispatcher: Dispatcher,
  target: RequestTarget,
  init: AgentRequestInit,
  series: RequestSeries | undefined,
  plan?: RequestPlan,
): LeanExchange {
  const { signal } = init;
  if (signal?.aborted) {
    const error = new AbortError(signal.reason);
    throw notTried(error, plan?.body ?? readBody(init.body));
  }
  plan ??= planRequest(dispatcher.isPersistent, target, init);
  const isTaken = series !== undefined && enter(series, dispatcher, plan);
  const exchange = new LeanExchange(dispatcher, target.endpoint, plan, init);
  exchange.send(isTaken);
  return exchange;
}

function enter(series: RequestSeries, dispatcher: Dispatcher, plan: RequestPlan): boolean {
  try {
    return series.enter(dispatcher);
  } catch (error) {
    throw notTried(error as Error, plan.body);
  }
}

function notTried(error: Error, body: OutgoingBody | undefined): Error {
  body?.discard(error);
  tellFacts(error, { reusedSocket: false, bytesWritten: 0, bytesRead: 0, attempts: 0 });
  return error;
}

/** One for all: a hundred thousand requests may wait, each with its own. */
const NO_INIT: AgentRequestInit = Object.freeze({});
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
  const series = new RequestSeries();
  try {
    for (let attempts = 1;; attempts++) {
      // The total is for all attempts together.
      const limits = { ...plan.limits, total: dueMs - clock.now() };
      const exchange = send(dispatcher, target, init, series, { ...plan, limits });
      const response = await exchange.response;
      const waitMs = mayRepeat && attempts < MAX_TRIES
        ? retryAfterMs(response.status, response.headers)
        : undefined;
      if (waitMs === undefined || waitMs > maxMs || clock.now() + waitMs >= dueMs) return response;
      drain(response.body, clock);
      await wait(series, waitMs, exchange, init.signal ?? undefined);
    }
  } finally {
    series.end();
  }
}

async function wait(
  series: RequestSeries,
  ms: number,
  { facts }: LeanExchange,
  signal: AbortSignal | undefined,
): Promise<void> {
  try {
    await series.wait(ms, signal);
  } catch (error) {
    tellFacts(error as Error, facts);
    throw error;
  }
}
