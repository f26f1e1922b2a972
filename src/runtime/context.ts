/**
 * Asynchronous context (AsyncLocalStorage): captured for a request, run in for its callbacks, kept away from sockets.
 *
 * Owns the ways into a context and out of all of them. Must not know sockets or HTTP. Whoever opens a socket that is to
 * be pooled does so in {@linkcode outside}, or the socket holds the stores of the request that happened to open it, and
 * shows them to every later one; whoever calls back on behalf of a request does so in {@linkcode run}.
 *
 * Strategy. An AsyncResource is the cheap public capture on every runtime (measured, create and run: Node 20 to 26 60 ns,
 * Deno 1.2 us and 0.8 more for each further run, Bun 35 ns; `AsyncLocalStorage.snapshot()` 8.4 to 1.1 us, 1.4 us, 13 ns). No
 * runtime has a public call that leaves every store, so there are three ways, each tried on a store of our own before it is
 * relied upon. Node's AsyncResource carries the stores in own properties: one without them is outside. Deno's hides them: its
 * adapter brings the slot in which the runtime keeps them ({@linkcode useContextSlot}), which serves to capture, too.
 * Bun's hides them as well: there a module is evaluated outside, except by `require()`, and the 'abort' of an
 * `AbortSignal.timeout()` is called outside, so what is captured in it replaces what was captured at load.
 *
 * @module
 */

import { AsyncLocalStorage, AsyncResource } from "node:async_hooks";

/** A captured asynchronous context. */
export interface Context {
  /** Node's AsyncResource's own. */
  runInAsyncScope<This, Result, Argument>(
    fn: (this: This, argument: Argument) => Result,
    thisArg: This,
    argument: Argument,
  ): Result;
}

/** Captures the context that the caller runs in. */
export function capture(): Context {
  return ownSlot === undefined ? newResource() : new SlotContext(ownSlot);
}

/** Calls `fn` with `self` as this and one argument in a captured context; returns what it returns, throws what it throws. */
export function run<This, Result, Argument>(
  context: Context,
  fn: (this: This, argument: Argument) => Result,
  self: This,
  argument: Argument,
): Result {
  return context.runInAsyncScope(fn, self, argument);
}

/** Where a runtime keeps the context that runs now: a value of which nothing is known, undefined outside of every store. */
export interface ContextSlot {
  get(): unknown;
  set(context: unknown): void;
}

/** Calls its argument outside of every store. */
type WayOut = <Result>(fn: () => Result) => Result;

/**
 * Calls `fn` outside of every store, and with it whatever it starts: its timers, its sockets' callbacks.
 *
 * Where this file was loaded by `require()` inside a store, on Bun, that store stays visible here until the event loop has
 * turned once.
 */
export function outside<Result>(fn: () => Result): Result {
  return wayOut(fn);
}

/** Uses a runtime's own slot from now on, if it does what it is to do and Node's way does not. */
export function useContextSlot(slot: ContextSlot): void {
  const leave: WayOut = (fn) => inSlot(slot, undefined, fn, undefined, undefined);
  if (wayOut !== leaveByRoot || !leads(leave) || !leadsBack(slot, leave)) return;
  wayOut = leave;
  ownSlot = slot;
}

/** A context kept by way of a runtime's slot. */
class SlotContext implements Context {
  readonly #slot: ContextSlot;
  readonly #kept: unknown;

  constructor(slot: ContextSlot) {
    this.#slot = slot;
    this.#kept = slot.get();
  }

  runInAsyncScope<This, Result, Argument>(
    fn: (this: This, argument: Argument) => Result,
    thisArg: This,
    argument: Argument,
  ): Result {
    return inSlot(this.#slot, this.#kept, fn, thisArg, argument);
  }
}

function inSlot<This, Result, Argument>(
  slot: ContextSlot,
  context: unknown,
  fn: (this: This, argument: Argument) => Result,
  self: This,
  argument: Argument,
): Result {
  const before = slot.get();
  // Most programs have no store at all.
  if (before !== context) slot.set(context);
  try {
    return fn.call(self, argument);
  } finally {
    slot.set(before);
  }
}

// No tracking of its garbage collection: nobody waits for a 'destroy' of ours.
function newResource(): AsyncResource {
  return new AsyncResource("HOLDFAST", { requireManualDestroy: true });
}

// Node keeps each store, or the frame of all of them, in a symbol property; the async ids are all that has to stay. A
// new one for each call, because an enterWith() inside would stay on it.
function leaveByStripping<Result>(fn: () => Result): Result {
  const resource = newResource();
  for (const symbol of Object.getOwnPropertySymbols(resource)) {
    if (!/async_id/.test(symbol.description ?? "")) Reflect.deleteProperty(resource, symbol);
  }
  return resource.runInAsyncScope(fn);
}

let root = newResource();

function leaveByRoot<Result>(fn: () => Result): Result {
  return root.runInAsyncScope(fn);
}

// Every enabled store has its price (on Node 20 a hook on every promise), so it is disabled after each use.
const probe = new AsyncLocalStorage<true>();

function leads(way: WayOut): boolean {
  const isOutside = probe.run(true, () => way(() => probe.getStore() === undefined));
  probe.disable();
  return isOutside;
}

function leadsBack(slot: ContextSlot, leave: WayOut): boolean {
  const inside = probe.run(true, () => slot.get());
  const isBack = leave(() => inSlot(slot, inside, () => probe.getStore() === true, undefined, undefined));
  probe.disable();
  return isBack;
}

let ownSlot: ContextSlot | undefined;
let wayOut: WayOut = leads(leaveByStripping) ? leaveByStripping : leaveByRoot;

// Once this module's own graph is evaluated, and with it whoever calls useWayOut().
if (wayOut === leaveByRoot) queueMicrotask(takeNewRoot);

// A signal that nobody holds may be collected before its time.
const held = new Set<AbortSignal>();

function takeNewRoot(): void {
  if (wayOut !== leaveByRoot) return;
  // deno-lint-ignore holdfast/owned-globals -- no delay: it is the way out of the store that is meant
  const signal = AbortSignal.timeout(0);
  held.add(signal);
  probe.run(true, () =>
    signal.addEventListener("abort", () => {
      if (probe.getStore() === undefined) root = newResource();
      probe.disable();
      held.delete(signal);
    }));
}
