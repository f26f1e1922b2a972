/**
 * A body that is nobody's, because its response is not the caller's: a redirect's, or that of a server that asks to come
 * again. Knows no connection, only the body.
 *
 * @module
 */

import type { ResponseBody } from "./response_body.ts";
import type { Clock } from "../clock.ts";

/** How much is read so that the connection can be used again: curl's and hyper's are of this size. */
const MAX_DRAINED_BYTES = 65_536;
/** How long that may take, ms. */
const MAX_DRAIN_MS = 1_000;

/**
 * Reads a body in the background as far as that is cheaper than a new connection. One that drips would hold its socket,
 * and the process, for ever.
 */
export function drain(body: ResponseBody, clock: Clock): void {
  const pieces = body[Symbol.asyncIterator]();
  const leave = (): void => void pieces.return?.();
  const timer = clock.after(MAX_DRAIN_MS, leave);
  const read = async (): Promise<void> => {
    let bytes = 0;
    for (let step = await pieces.next(); !step.done; step = await pieces.next()) {
      bytes += step.value.length;
      if (bytes > MAX_DRAINED_BYTES) return leave();
    }
  };
  // However it ended, the connection has been dealt with.
  read().catch(() => {}).finally(() => timer.cancel());
}
