/**
 * What a request's options become under an agent's: Node's merging, its servername and its way to call
 * `createConnection`. Pure but for that call.
 *
 * @module
 */

import type { Duplex } from "node:stream";
import { BareOptions, type NodeOptions } from "./endpoint_table.ts";
import { discardWith } from "./pooled_stream.ts";
import { isAddress } from "../runtime/addresses.ts";
import { wasReturned } from "../runtime/mod.ts";

/** The part of an agent that decides how a stream is asked for. */
export interface DialingAgent {
  /** The agent's options, which win over a request's. */
  readonly options: object;
  /** Connections are to be kept, so that the system is asked to probe them. */
  readonly keepAlive: boolean;
  /** Delay of the first probe, ms. */
  readonly keepAliveMsecs: number;
}

/** Takes the outcome of a dial; more than one is allowed, the first counts. */
export type DialAnswer = (error?: unknown, stream?: Duplex) => void;

const watchedBy = new WeakMap<object, WatchedOptions>();

/** An agent's options with a note of each change: `agent.options.ca = ...` holds from the next request on. */
export class WatchedOptions {
  /** What the agent shows as its options. */
  readonly shown: Record<string, unknown>;
  /** Grows with each change. */
  version = 0;
  readonly #options: Record<string, unknown>;
  #copy: Record<string, unknown> = {};
  #copiedVersion = -1;

  /** Watches `options`, which are not to be changed by another way. */
  constructor(options: Record<string, unknown>) {
    const note = (): void => {
      this.version++;
    };
    this.#options = options;
    this.shown = new Proxy(options, {
      set(target, name, value): boolean {
        note();
        return Reflect.set(target, name, value);
      },
      defineProperty(target, name, descriptor): boolean {
        note();
        return Reflect.defineProperty(target, name, descriptor);
      },
      deleteProperty(target, name): boolean {
        note();
        return Reflect.deleteProperty(target, name);
      },
    });
    watchedBy.set(this.shown, this);
  }

  /** A copy, to be read alone: it costs a twentieth of what the proxy does. */
  get current(): Readonly<Record<string, unknown>> {
    if (this.#copiedVersion !== this.version) {
      this.#copy = { ...this.#options };
      this.#copiedVersion = this.version;
    }
    return this.#copy;
  }
}

/** A request's options under its agent's, as Node's `addRequest` makes them. */
export function mergedOptions(agent: DialingAgent, options: object, request: object): NodeOptions {
  return mergeOptions(watchedBy.get(agent.options)?.current ?? agent.options, options, hostHeaderOf(request));
}

/** The same of what is known: the agent's options now, and the request's Host header. */
export function mergeOptions(own: object, options: object, hostHeader: unknown): NodeOptions {
  const merged: NodeOptions = Object.assign(new BareOptions(), options, own);
  const { socketPath, servername } = merged;
  if (socketPath) merged["path"] = socketPath;
  if (!servername && servername !== "") merged["servername"] = servernameOf(merged["host"], hostHeader);
  return merged;
}

/** The Host header of a request of node:http's kind. */
export function hostHeaderOf(request: object): unknown {
  const { _peekHeader, getHeader } = request as Record<string, ((name: string) => unknown) | undefined>;
  return (_peekHeader ?? getHeader)?.call(request, "host");
}

/** {@linkcode mergedOptions} with what Node's `createSocket` adds. */
export function dialOptions(
  agent: DialingAgent,
  name: string,
  options: object,
  request: object,
): NodeOptions {
  const merged: NodeOptions = { __proto__: null, ...mergedOptions(agent, options, request) };
  const { timeout } = request as { timeout?: unknown };
  const ownTimeout = timeout || merged["timeout"];
  if (ownTimeout) merged["timeout"] = ownTimeout;
  merged["_agentKey"] = name;
  merged["encoding"] = null;
  if (!agent.keepAlive) return merged;
  merged["keepAlive"] = true;
  merged["keepAliveInitialDelay"] = agent.keepAliveMsecs;
  return merged;
}

/**
 * Calls a `createConnection`, which answers by returning a stream, by its callback or by a promise of a stream. Throws what
 * it throws. One that gives its callback to the default, and returns a stream of its own over what that returned, has answered
 * by its own alone: the other is closed with it.
 */
export function callDial(dial: (answer: DialAnswer) => unknown, answer: DialAnswer): void {
  let given: Duplex | undefined;
  const give = (stream: Duplex): void => {
    given = stream;
    answer(null, stream);
  };
  const returned = dial((error, stream) => {
    const isUnder = given !== undefined && stream && stream !== given && wasReturned(stream);
    if (isUnder) discardWith(given!, stream);
    else answer(error, stream);
  });
  if (returned === undefined || returned === null) return;
  const { then } = returned as PromiseLike<Duplex>;
  if (typeof then !== "function") return give(returned as Duplex);
  (returned as PromiseLike<Duplex | undefined>).then(
    // A promise of nothing is that of an async method that answers by its callback.
    (stream) => stream === undefined || stream === null ? undefined : give(stream),
    (error) => answer(error ?? new Error("createConnection() failed")),
  );
}

/** The name that TLS is to verify: the Host header's, else the host; none for an address. Node's `calculateServerName`. */
function servernameOf(host: unknown, hostHeader: unknown): string {
  const isNamed = typeof hostHeader === "string" && hostHeader !== "";
  const name = isNamed ? hostnameOf(hostHeader) : String(host ?? "");
  return isAddress(name) ? "" : name;
}

function hostnameOf(header: string): string {
  const end = header.indexOf(header.startsWith("[") ? "]" : ":");
  if (!header.startsWith("[")) return end === -1 ? header : header.slice(0, end);
  return end === -1 ? header : header.slice(1, end);
}
