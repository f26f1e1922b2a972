/**
 * May a failed request be sent again?
 *
 * Owns RFC 9110 section 9.2.2; pure. One rule stands above all: what a server may have acted upon is not sent twice
 * unless the method, or the user by an Idempotency-Key, says that this is harmless.
 *
 * @module
 */

/** What is known of a request whose connection failed. */
export interface RetryFacts {
  /** As sent. */
  readonly method: string;
  /** The request carries an Idempotency-Key field with a value. */
  readonly hasIdempotencyKey: boolean;
  /** The connection had carried an earlier request. */
  readonly reused: boolean;
  /** Bytes of the request given to the socket, whether or not they left. */
  readonly bytesWritten: number;
  /** Bytes received since the request began, interim responses included. */
  readonly bytesRead: number;
  /** The body can be sent again from its first byte; true where there is none. */
  readonly bodyReplayable: boolean;
  /** The user destroyed or aborted it. */
  readonly userDestroyed: boolean;
  /** How often it was tried, this time included: from 1 on. */
  readonly tries: number;
  /** The policy; default {@linkcode DEFAULT_RETRY_POLICY}. */
  readonly policy?: RetryPolicy | undefined;
}

/** What the user allows. */
export interface RetryPolicy {
  /** Tries in all, the first included: 1 (never retry) to 4. Above 4 counts as 4. */
  readonly maxTries: number;
  /** Retry failures on fresh connections too. */
  readonly freshToo: boolean;
}

/** One retry, after a failure on a reused connection. */
export const DEFAULT_RETRY_POLICY: RetryPolicy = { maxTries: 2, freshToo: false };

/** Tries in all, whatever a policy asks for. */
export const MAX_TRIES = 4;

/** Why a request is not sent again. */
export type NoRetryReason =
  | "user-destroyed"
  | "response-begun"
  | "tries-exhausted"
  | "body-not-replayable"
  | "fresh-connection"
  | "not-idempotent";

/** The verdict. A retry always dials a new connection: an idle one may be as stale as the last. */
export type RetryVerdict =
  | { readonly retry: true; readonly connection: "new" }
  | { readonly retry: false; readonly reason: NoRetryReason };

const RETRY: RetryVerdict = { retry: true, connection: "new" };

/** Judges a request whose connection failed before the response was complete. */
export function retryVerdict(facts: RetryFacts): RetryVerdict {
  const reason = noRetryReason(facts);
  return reason === undefined ? RETRY : { retry: false, reason };
}

function noRetryReason(facts: RetryFacts): NoRetryReason | undefined {
  const policy = facts.policy ?? DEFAULT_RETRY_POLICY;
  if (facts.userDestroyed) return "user-destroyed";
  // Both are written so that NaN refuses.
  if (facts.bytesRead !== 0) return "response-begun";
  if (!(facts.tries < Math.min(policy.maxTries, MAX_TRIES))) return "tries-exhausted";
  if (!facts.bodyReplayable) return "body-not-replayable";
  if (!facts.reused && !policy.freshToo) return "fresh-connection";
  // Nothing was given to the socket: no server has seen any of it, whatever the method.
  if (facts.bytesWritten === 0) return undefined;
  return facts.hasIdempotencyKey || isIdempotent(facts.method) ? undefined : "not-idempotent";
}

// RFC 9110 section 9.2.2; of the registered others the safe ones that clients use. CONNECT is not.
const IDEMPOTENT: ReadonlySet<string> = new Set([
  "GET",
  "HEAD",
  "OPTIONS",
  "TRACE",
  "PUT",
  "DELETE",
  "QUERY",
  "PROPFIND",
  "REPORT",
  "SEARCH",
]);

/** True for a method that may be repeated by definition; methods are case-sensitive. */
export function isIdempotent(method: string): boolean {
  return IDEMPOTENT.has(method);
}
