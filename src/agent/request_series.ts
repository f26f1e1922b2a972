/**
 * A request that is made of several, by a redirect or a Retry-After: taken once, ended once. Owns what holds the parts
 * together between one response and the next request, when no exchange is under way that the agent's end could wait for,
 * or end. Knows no connection and no header.
 *
 * Strategy: the series is one of the dispatcher's lasting requests from its first part on. `close()` therefore waits for
 * it, and takes its later parts although it takes no new request; `destroy()` ends it, also where it only waits.
 *
 * @module
 */

import { onAbort } from "./abort_listeners.ts";
import { AbortError, AgentDestroyedError } from "./core/errors.ts";
import type { Dispatcher, LastingRequest } from "./exchange.ts";
import type { AgentRequestInit } from "./request_plan.ts";

/** See the file's comment. */
export class RequestSeries implements LastingRequest {
  prev: LastingRequest | undefined = undefined;
  next: LastingRequest | undefined = undefined;
  #dispatcher: Dispatcher | undefined;
  #isAborted = false;
  #stopWaiting: ((error: Error) => void) | undefined;

  /** A part begins. True where the dispatcher has taken the series before. Throws where it has been ended since. */
  enter(dispatcher: Dispatcher): boolean {
    if (this.#isAborted) throw new AgentDestroyedError();
    if (this.#dispatcher !== undefined) return true;
    this.#dispatcher = dispatcher;
    dispatcher.onRequestStart?.(this);
    return false;
  }

  /** No further part begins; the last one may be under way. Idempotent. */
  end(): void {
    this.#dispatcher?.onRequestEnd?.(this);
    this.#dispatcher = undefined;
  }

  /** {@linkcode LastingRequest}: by the dispatcher. */
  abort(): void {
    this.#isAborted = true;
    // The pool tells all of its requests by one error; the facts are each request's own.
    this.#stopWaiting?.(new AgentDestroyedError());
  }

  /** Resolves `ms` later; rejects with AbortError once `signal` aborts, with the dispatcher's error once that ends the series. */
  wait(ms: number, signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (): void => {
        timer.cancel();
        leaveSignal?.();
        this.#stopWaiting = undefined;
      };
      const stop = this.#stopWaiting = (error: Error): void => {
        settle();
        reject(error);
      };
      // Nothing else holds the process.
      const timer = this.#dispatcher!.clock.after(ms, () => {
        settle();
        resolve();
      }, { ref: true });
      const leaveSignal = signal && onAbort(signal, () => stop(new AbortError(signal.reason)));
      if (signal?.aborted === true) stop(new AbortError(signal.reason));
    });
  }
}

/** Where an init says of which series it is; a member that callers cannot give. */
export const SERIES: unique symbol = Symbol("series");

/** An init of a part. */
export interface PartInit extends AgentRequestInit {
  /** The series. */
  readonly [SERIES]?: RequestSeries | undefined;
}
