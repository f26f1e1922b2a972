/** What a fact of http_facts.ts is, and what those who tell facts have in common. */
import type { EventEmitter } from "node:events";
import type * as builtin from "node:http";
import type { ClientRequest, IncomingMessage } from "node:http";
import type { WireAnswer, WireOrigin } from "./http_origin.ts";

/** A client: node:http or ours. */
export type Kit = typeof builtin;

/** A request with what Node's types leave out. */
export interface Request extends ClientRequest {
  readonly agent: unknown;
  readonly res: Response | null;
  readonly timeout: number | undefined;
  readonly upgradeOrConnect: boolean;
  strictContentLength: boolean;
  clearTimeout(callback?: () => void): unknown;
}

/** A response with the same. */
export interface Response extends IncomingMessage {
  readonly req: ClientRequest;
  readonly upgrade: boolean | null;
  readonly signal: AbortSignal;
}

/** Any options of a request: bad ones, too. */
export type AnyOptions = Record<string, unknown>;

/** What finds a fact out. */
export interface Scene {
  readonly kit: Kit;
  readonly origin: WireOrigin;
  readonly agent: builtin.Agent;
  /** Adds a line. */
  readonly log: (line: string) => void;
  /** Makes a request to the origin over the agent; nothing is sent. */
  readonly ask: (options?: AnyOptions) => Request;
}

/** One fact. */
export interface Fact {
  /** What the server does with a head; default: answers with "ok". */
  readonly answer?: WireAnswer;
  /** Of the agent, which keeps its connections. */
  readonly agent?: AnyOptions;
  readonly play: (scene: Scene) => void | Promise<void>;
}

/** By their names. */
export type Facts = Readonly<Record<string, Fact>>;

/** Waits for an event of a request or a response, which has not come yet: a fact waits no longer than it must. */
export function told<Value = unknown>(emitter: EventEmitter, event: string): Promise<Value> {
  return new Promise((resolve) => void emitter.once(event, (value: Value) => resolve(value)));
}

/** The response to a request whose 'error' nobody expects. */
export function responseOf(request: ClientRequest): Promise<Response> {
  return told<Response>(request, "response");
}

/** Reads the response to a request and waits for the 'close' of both: the body. */
export async function read(request: ClientRequest): Promise<string> {
  const isClosed = told(request, "close");
  const response = await responseOf(request);
  const isOver = told(response, "close");
  let text = "";
  response.setEncoding("latin1").on("data", (chunk) => text += chunk);
  await Promise.all([isClosed, isOver]);
  return text;
}

/** An error as a line: its name where that is a class's, its code, its words. */
export function wordsOf(error: unknown): string {
  const { name, code, message } = error as Error & { code?: string };
  return `${name} ${code}: ${message}`;
}

/** What `fn` throws, or gives back. */
export function outcome(fn: () => unknown): string {
  try {
    return show(fn());
  } catch (error) {
    return wordsOf(error);
  }
}

/** A value as text: what is an object of a client's by its kind. */
export function show(value: unknown): string {
  if (value === undefined) return "undefined";
  if (typeof value === "function") return "a function";
  if (value instanceof Error) return wordsOf(value);
  return JSON.stringify(value);
}
