/**
 * The race for a connection to one of several addresses (RFC 8305 section 5).
 *
 * Owns the attempts, when each of them begins and what becomes of the losers. Must not know how an address was found, nor
 * what becomes of the winner.
 *
 * Strategy: an attempt starts 250 ms after the one before it, or at once when an attempt fails; the others are cancelled
 * only when one has won.
 *
 * @module
 */

import type { Clock, Timer } from "../clock.ts";
import { fromNodeError, SocketError } from "./errors.ts";
import type { LookupAddress, Socket, SocketHandler } from "./socket.ts";

/** RFC 8305 section 5: the recommended time from one attempt to the next, ms. */
const ATTEMPT_DELAY_MS = 250;
/** RFC 8305 section 5: the least, ms. */
const MIN_ATTEMPT_DELAY_MS = 10;

/** For whom a race is run. */
export interface RaceOwner {
  /** An attempt is about to be made. May cancel the race. */
  onAttempt(address: LookupAddress): void;
  /** Makes an attempt, which may call `reached` when there is a connection that is not open yet. May throw. */
  attempt(address: LookupAddress, handler: SocketHandler, reached: () => void): Socket;
  /** An attempt has failed. May cancel the race. */
  onFailure(address: LookupAddress, error: SocketError): void;
  /** The socket of the attempt that has won: it is open, or has been reached. */
  onWin(socket: Socket, isOpen: boolean): void;
  /** All have failed: the errors in the order of the addresses. */
  onLoss(errors: readonly SocketError[]): void;
}

/** Addresses in the order of RFC 8305 section 4: the families alternate, beginning with that of the first address. */
export function interleave(addresses: readonly LookupAddress[]): LookupAddress[] {
  const first = addresses.filter(({ family }) => family === addresses[0]!.family);
  const second = addresses.filter(({ family }) => family !== addresses[0]!.family);
  const result: LookupAddress[] = [];
  for (let index = 0; index < Math.max(first.length, second.length); index++) {
    if (index < first.length) result.push(first[index]!);
    if (index < second.length) result.push(second[index]!);
  }
  return result;
}

// One address: tells the race, and nobody else, because there is nothing to tell between a connect and its end.
class Attempt implements SocketHandler {
  readonly #race: AddressRace;
  readonly index: number;
  socket!: Socket;

  constructor(race: AddressRace, index: number) {
    this.#race = race;
    this.index = index;
  }

  onOpen(): void {
    this.#race.won(this, true);
  }

  onClose(error?: SocketError): void {
    this.#race.lost(this, error);
  }

  onData(): void {}
  onEnd(): void {}
  onDrain(): void {}
}

/** See the file's comment. */
export class AddressRace {
  /** To whom it runs. */
  readonly addresses: readonly LookupAddress[];
  readonly #delayMs: number;
  readonly #clock: Clock;
  readonly #owner: RaceOwner;
  readonly #attempts: Set<Attempt> = new Set();
  readonly #errors: SocketError[] = [];
  #next = 0;
  #timer: Timer | undefined;
  #isReferenced: boolean;
  #isOver = false;

  /** To `addresses`, of which there is at least one, in this order. */
  constructor(
    addresses: readonly LookupAddress[],
    delayMs: number | undefined,
    clock: Clock,
    owner: RaceOwner,
    isReferenced: boolean,
  ) {
    this.addresses = addresses;
    this.#delayMs = Math.max(MIN_ATTEMPT_DELAY_MS, delayMs ?? ATTEMPT_DELAY_MS);
    this.#clock = clock;
    this.#owner = owner;
    this.#isReferenced = isReferenced;
  }

  /** Makes the next attempt. */
  readonly start = (): void => {
    this.#timer?.cancel();
    const index = this.#next++;
    this.#owner.onAttempt(this.addresses[index]!);
    if (this.#isOver) return;
    const attempt = new Attempt(this, index);
    this.#attempts.add(attempt);
    // The attempt holds the process, so the timer need not.
    if (this.#next < this.addresses.length) this.#timer = this.#clock.after(this.#delayMs, this.start);
    try {
      attempt.socket = this.#owner.attempt(
        this.addresses[index]!,
        attempt,
        () => this.won(attempt, false),
      );
    } catch (error) {
      this.lost(attempt, fromNodeError(error, { phase: "connect" }));
      return;
    }
    if (!this.#isReferenced) attempt.socket.unref?.();
  };

  /** An attempt has won: the others are cancelled. */
  won(attempt: Attempt, isOpen: boolean): void {
    if (!this.#attempts.delete(attempt)) return;
    this.cancel();
    this.#owner.onWin(attempt.socket, isOpen);
  }

  /** An attempt has failed. */
  lost(attempt: Attempt, given: SocketError | undefined): void {
    if (!this.#attempts.delete(attempt)) return;
    const error = given ?? fromNodeError(undefined, { phase: "connect" });
    this.#errors[attempt.index] = error;
    this.#owner.onFailure(this.addresses[attempt.index]!, error);
    if (this.#isOver) return;
    if (this.#next < this.addresses.length) this.start();
    else if (this.#attempts.size === 0) this.#owner.onLoss(this.#errors);
  }

  /** Ends all attempts that are under way. */
  cancel(): void {
    this.#isOver = true;
    this.#timer?.cancel();
    const attempts = [...this.#attempts];
    this.#attempts.clear();
    for (const attempt of attempts) attempt.socket.destroy();
  }

  /** Lets the attempts hold the process, or not. */
  reference(isReferenced: boolean): void {
    this.#isReferenced = isReferenced;
    for (const { socket } of this.#attempts) {
      if (isReferenced) socket.ref?.();
      else socket.unref?.();
    }
  }
}

/** What a race to `host` failed with: the error of a single attempt, or one with all of them in its cause. */
export function raceError(
  errors: readonly SocketError[],
  host: string,
  port: number | undefined,
): SocketError {
  if (errors.length === 1) return errors[0]!;
  const { code } = errors[0]!;
  const message = `Cannot connect to "${host}": ${errors.map((error) => error.message).join("; ")}`;
  const cause = Object.assign(new AggregateError(errors, message), { code });
  return new SocketError(message, { code, phase: "connect", syscall: "connect", address: host, port, cause });
}
