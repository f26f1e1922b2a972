/**
 * Whether a ClientRequest whose connection has failed may go once more (RFC 9110 section 9.2.2), as far as the request says so.
 * Owns how the facts are read off one; the rule is `core/retry.ts`'s. Pure.
 *
 * @module
 */

import { retryVerdict } from "./core/retry.ts";
import type { ExchangeControl } from "./exchange.ts";

/** What a request says of itself. */
export interface RepeatableRequest {
  readonly method: string;
  readonly destroyed: boolean;
  getHeader(name: string): unknown;
}

/** How its try went. */
export interface LostTry {
  readonly control: ExchangeControl;
  /** The connection had served another request before. */
  readonly isReused: boolean;
  /** All that was sent of the body is at hand still. */
  readonly mayRewind: boolean;
  /** Tries so far. */
  readonly tries: number;
}

/** True: the request may be sent again. */
export function isRepeatable(
  request: RepeatableRequest,
  { control, isReused, mayRewind, tries }: LostTry,
): boolean {
  return retryVerdict({
    method: request.method,
    hasIdempotencyKey: Boolean(request.getHeader("idempotency-key")),
    reused: isReused,
    bytesWritten: control.bytesWritten,
    bytesRead: control.bytesRead,
    bodyReplayable: mayRewind,
    userDestroyed: request.destroyed,
    tries,
  }).retry;
}
