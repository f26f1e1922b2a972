/**
 * The deadlines of one request: one timer for whatever phase it is in, and one for all of them. Knows no socket and no
 * pool: it is told the phase.
 *
 * Strategy: a timer is moved only where the new deadline comes before it. One that fires too early is set again for the
 * rest, so that a phase that gets bytes, or one that gives way to a longer one, costs a reading of the clock.
 *
 * @module
 */

import {
  invalidArgType,
  invalidArgValue,
  outOfRange,
  TimeoutError,
  type TimeoutPhase,
} from "./core/errors.ts";
import type { Clock, Timer } from "../clock.ts";

/** How long each phase of a request may take, ms; Infinity or 0: as long as it likes. */
export interface RequestTimeouts {
  /** Name lookup, TCP, TLS and a proxy's CONNECT together. Default 10,000. */
  readonly connect?: number | undefined;
  /** From the request's last byte to the final response's head; interim responses do not extend it. Default 300,000. */
  readonly headers?: number | undefined;
  /** Between two pieces of a body, either way; time in which our side is not ready does not count. Default 300,000. */
  readonly body?: number | undefined;
  /** The wait for a place under the agent's caps. Default: none. */
  readonly pool?: number | undefined;
  /** All of it, retries included, to the last byte of the response. Default: none. */
  readonly total?: number | undefined;
}

/** {@linkcode RequestTimeouts}, checked; Infinity: none. */
export type Limits = Readonly<Record<TimeoutPhase, number>>;

// Those of undici, but for `pool`, which it has not.
const DEFAULTS: Limits = {
  connect: 10_000,
  headers: 300_000,
  body: 300_000,
  pool: Infinity,
  total: Infinity,
};
const NAMES = Object.keys(DEFAULTS) as TimeoutPhase[];
/** Longest delay that setTimeout takes: 2^31 - 1 ms, some 24 days. */
const MAX_DELAY_MS = 2_147_483_647;

/** Checks `timeouts` and fills in the defaults. ERR_INVALID_ARG_TYPE, ERR_INVALID_ARG_VALUE, ERR_OUT_OF_RANGE. */
export function readTimeouts(timeouts: RequestTimeouts | undefined): Limits {
  if (timeouts === undefined) return DEFAULTS;
  if (typeof timeouts !== "object" || timeouts === null) {
    throw invalidArgType("init.timeouts", "of type object", timeouts);
  }
  for (const name of Object.keys(timeouts)) {
    // One with a slip in its name would be no limit at all.
    if (!Object.hasOwn(DEFAULTS, name)) {
      throw invalidArgValue("init.timeouts", `may hold ${NAMES.join(", ")} alone`, name);
    }
  }
  const limits: Record<TimeoutPhase, number> = { ...DEFAULTS };
  for (const name of NAMES) {
    const value = timeouts[name];
    if (value === undefined) continue;
    if (typeof value !== "number") throw invalidArgType(`init.timeouts.${name}`, "of type number", value);
    if (!(value >= 0 && (value <= MAX_DELAY_MS || value === Infinity))) {
      throw outOfRange(
        `init.timeouts.${name}`,
        `a number of ms from 0 to ${MAX_DELAY_MS}, or Infinity`,
        value,
      );
    }
    limits[name] = value === 0 ? Infinity : value;
  }
  return limits;
}

/** Who is told. */
export interface DeadlineOwner {
  /** A deadline has passed; none is left. */
  onTimeout(error: TimeoutError): void;
}

/** See the file's comment. */
export class Deadlines {
  readonly #clock: Clock;
  readonly #limits: Limits;
  readonly #owner: DeadlineOwner;
  #phase: TimeoutPhase | undefined;
  #dueMs = Infinity;
  #timer: Timer | undefined;
  #timerDueMs = Infinity;
  #total: Timer | undefined;

  /** Nothing runs yet but the time for all of it. */
  constructor(clock: Clock, limits: Limits, owner: DeadlineOwner) {
    this.#clock = clock;
    this.#limits = limits;
    this.#owner = owner;
    if (limits.total !== Infinity) {
      this.#total = clock.after(limits.total, () => this.#expire("total"), { ref: true });
    }
  }

  /** The phase begins now, or made progress; undefined: nobody but us can bring it on, so no time counts. */
  enter(phase: TimeoutPhase | undefined, nowMs: number = this.#clock.now()): void {
    this.#phase = phase;
    this.#dueMs = phase === undefined ? Infinity : nowMs + this.#limits[phase];
    if (this.#dueMs < this.#timerDueMs) this.#arm(this.#dueMs - nowMs);
  }

  /** The request has ended: no timer is left. */
  stop(): void {
    this.#dueMs = this.#timerDueMs = Infinity;
    this.#timer?.cancel();
    this.#total?.cancel();
    this.#timer = this.#total = undefined;
  }

  #arm(delayMs: number): void {
    this.#timer?.cancel();
    this.#timerDueMs = this.#dueMs;
    // In the queue, and where a user's own code connects, there may be no socket that holds the process.
    const ref = this.#phase === "pool" || this.#phase === "connect";
    this.#timer = this.#clock.after(delayMs, this.#onTimer, ref ? REF : undefined);
  }

  readonly #onTimer = (): void => {
    this.#timer = undefined;
    this.#timerDueMs = Infinity;
    if (this.#dueMs === Infinity) return;
    const restMs = this.#dueMs - this.#clock.now();
    if (restMs > 0) this.#arm(restMs);
    else this.#expire(this.#phase!);
  };

  #expire(phase: TimeoutPhase): void {
    this.stop();
    this.#owner.onTimeout(new TimeoutError(phase, this.#limits[phase]));
  }
}

const REF = { ref: true };
