/**
 * What fetch is given, read by the rules of the Fetch Standard's Request constructor. Owns those rules, and how a body is
 * kept so that it can be sent again. Knows no agent and no connection.
 *
 * Strategy: no Request object is made, which would turn every body into a stream that can be read once; a Request
 * that is given is read.
 *
 * @module
 */

import { ACCEPT_ENCODING } from "./content_coding.ts";
import { ArgumentTypeError, bodyUsed, invalidArgType, invalidArgValue, invalidToken } from "./core/errors.ts";
import { isToken } from "./core/characters.ts";
import type { RequestTimeouts } from "./deadlines.ts";
import type { RequestBodyInput } from "./request_body.ts";
import type { AgentResponse } from "./lean_response.ts";
import { type AgentRequestInit, readSignal, type RetryOption } from "./request_plan.ts";

/** What fetch asks of an agent. */
export interface RequestAgent {
  /** As `Agent.request`. */
  request(url: string | URL, init?: AgentRequestInit): Promise<AgentResponse>;
}

/** The standard's RequestInit and what an agent adds. */
export interface FetchInit extends Omit<RequestInit, "body"> {
  /** The standard's body types, and any async iterable of bytes, Node's streams among them. */
  body?: RequestInit["body"] | AsyncIterable<Uint8Array | string>;
  /** Has to be "half" for a body that is a ReadableStream. */
  duplex?: "half" | undefined;
  /** The agent for this request. */
  agent?: RequestAgent | undefined;
  /** As for `agent.request`; `total` is for all hops together. */
  timeouts?: RequestTimeouts | undefined;
  /** As for `agent.request`. */
  retry?: RetryOption | undefined;
}

/** A request as fetch sends it, and as a redirect changes it. */
export interface FetchRequest {
  url: URL;
  method: string;
  headers: [string, string][];
  body: RequestBodyInput;
  /** The body can be sent again, after a redirect. */
  isReplayable: boolean;
  readonly redirect: "follow" | "error" | "manual";
  readonly signal: AbortSignal | undefined;
  readonly integrity: string;
}

/**
 * Reads fetch's arguments; a promise where the body is a Request's. Throws and rejects with a TypeError; whether `init.signal`
 * has aborted is not looked at.
 */
export function readFetch(
  input: string | URL | Request,
  init: FetchInit,
): FetchRequest | Promise<FetchRequest> {
  const given = isRequest(input) ? input : undefined;
  const url = parseUrl(given?.url ?? (input as string | URL));
  checkWords(init);
  const method = readMethod(init.method ?? given?.method ?? "GET");
  const headers = readHeaders(init.headers ?? given?.headers);
  const redirect = init.redirect ?? given?.redirect ?? "follow";
  const signal = readSignal(init.signal === undefined ? given?.signal : init.signal);
  const integrity = init.integrity ?? given?.integrity ?? "";
  const inherited = checkedBody(given, init, method);
  const { body, isReplayable } = readFetchBody(init, headers);
  addDefaults(headers);
  const request = { url, method, headers, body, isReplayable, redirect, signal, integrity };
  return inherited === undefined ? request : withBody(request, inherited);
}

async function withBody(request: FetchRequest, stream: ReadableStream<Uint8Array>): Promise<FetchRequest> {
  return { ...request, ...await readWhole(stream) };
}

/** A Request of this runtime, or of a polyfill: its URL is a string and it has Headers. */
function isRequest(input: unknown): input is Request {
  if (typeof input !== "object" || input === null || input instanceof URL) return false;
  const { url, method, headers } = input as Partial<Request>;
  return typeof url === "string" && typeof method === "string" && typeof headers === "object";
}

function parseUrl(input: string | URL): URL {
  let url: URL;
  try {
    url = new URL(`${input}`);
  } catch {
    // The message of the runtime's own error repeats the input, which may hold a password.
    throw new ArgumentTypeError("ERR_INVALID_URL", "Invalid URL");
  }
  if (url.username !== "" || url.password !== "") {
    throw new ArgumentTypeError("ERR_INVALID_URL", "Cannot fetch a URL that holds credentials");
  }
  return url;
}

/** Members that are one of a few words; most of them say nothing to a server's fetch, and a slip in one is a slip. */
const WORDS: Readonly<
  Record<"cache" | "credentials" | "duplex" | "mode" | "priority" | "redirect", readonly string[]>
> = {
  cache: ["default", "no-store", "reload", "no-cache", "force-cache", "only-if-cached"],
  credentials: ["omit", "same-origin", "include"],
  duplex: ["half"],
  mode: ["same-origin", "no-cors", "cors"],
  priority: ["high", "low", "auto"],
  redirect: ["follow", "error", "manual"],
};

function checkWords(init: FetchInit): void {
  // A loop over the words would cost every request as much as its URL.
  const { cache, credentials, duplex, mode, priority, redirect } = init;
  if ((cache ?? credentials ?? duplex ?? mode ?? priority ?? redirect) !== undefined) {
    const given = { cache, credentials, duplex, mode, priority, redirect };
    for (const [name, value] of Object.entries(given)) checkWord(name as keyof typeof given, value);
  }
  const { window } = init as { window?: unknown };
  if (window !== undefined && window !== null) throw invalidArgType("init.window", "null", window);
}

function checkWord(name: keyof typeof WORDS, value: unknown): void {
  if (value === undefined || WORDS[name].includes(`${value as string}`)) return;
  throw invalidArgValue(`init.${name}`, `must be one of: "${WORDS[name].join('", "')}"`, value);
}

// Fetch Standard, "method": those six are normalised, three are forbidden.
function readMethod(given: unknown): string {
  const method = `${given as string}`;
  if (!isToken(method)) throw invalidToken("Method", method);
  switch (method.toUpperCase()) {
    case "CONNECT":
    case "TRACE":
    case "TRACK":
      throw invalidArgValue("init.method", "is forbidden to fetch", method);
    case "DELETE":
    case "GET":
    case "HEAD":
    case "OPTIONS":
    case "POST":
    case "PUT":
      return method.toUpperCase();
    default:
      return method;
  }
}

/** Names and values as they are sent; the serializer checks them. */
function readHeaders(headers: unknown): [string, string][] {
  if (headers === undefined) return [];
  if (typeof headers !== "object" || headers === null) {
    throw invalidArgType("init.headers", "an object, an array of pairs or a Headers", headers);
  }
  const pairs: [string, string][] = [];
  if (Symbol.iterator in headers) {
    for (const pair of headers as Iterable<Iterable<string>>) {
      const [name, value, ...rest] = typeof pair === "object" ? [...pair] : [];
      if (name === undefined || value === undefined || rest.length > 0) {
        throw invalidArgValue("init.headers", "must hold pairs of a name and a value", pair);
      }
      pairs.push([`${name}`, normalized(value)]);
    }
    return pairs;
  }
  for (const [name, value] of Object.entries(headers)) pairs.push([name, normalized(value)]);
  return pairs;
}

// Fetch Standard, "normalize a byte sequence": HTTP whitespace around a value is no part of it.
function normalized(value: unknown): string {
  const text = `${value as string}`;
  const isClean = text.charCodeAt(0) > 0x20 && text.charCodeAt(text.length - 1) > 0x20;
  return isClean ? text : text.replace(/^[\t\n\r ]+|[\t\n\r ]+$/g, "");
}

interface FetchBody {
  readonly body: RequestBodyInput;
  readonly isReplayable: boolean;
}

const NO_BODY: FetchBody = { body: undefined, isReplayable: true };

/** The body of the Request that is given, where that is the one to be sent. */
function checkedBody(
  given: Request | undefined,
  init: FetchInit,
  method: string,
): ReadableStream<Uint8Array> | undefined {
  const { body } = init;
  if (body === undefined && given?.bodyUsed === true) throw bodyUsed();
  const inherited = body === undefined ? given?.body ?? undefined : undefined;
  if ((body ?? inherited) !== undefined && (method === "GET" || method === "HEAD")) {
    throw new ArgumentTypeError(
      "ERR_HTTP_BODY_NOT_ALLOWED",
      `Cannot fetch with a body and the method "${method}"`,
    );
  }
  return inherited;
}

function readFetchBody(init: FetchInit, headers: [string, string][]): FetchBody {
  const { body } = init;
  if (body === undefined || body === null) return NO_BODY;
  if (body instanceof ReadableStream) {
    if (init.duplex !== "half") {
      throw invalidArgValue("init.duplex", 'must be "half" for a stream', init.duplex);
    }
    return { body, isReplayable: false };
  }
  if (isBodyObject(body)) return { body: body as RequestBodyInput, isReplayable: isReplayable(body) };
  // Fetch Standard, "extract a body": whatever else it is, it is a string.
  if (!headers.some(([name]) => name.toLowerCase() === "content-type")) {
    headers.push(["Content-Type", "text/plain;charset=UTF-8"]);
  }
  return { body: `${body as string}`, isReplayable: true };
}

function isBodyObject(body: unknown): body is object {
  if (typeof body !== "object" || body === null) return false;
  return body instanceof ArrayBuffer || ArrayBuffer.isView(body) || body instanceof URLSearchParams ||
    body instanceof FormData || body instanceof Blob || "stream" in body || Symbol.asyncIterator in body;
}

function isReplayable(body: object): boolean {
  return !(Symbol.asyncIterator in body);
}

/** How many turns of the microtask queue a piece of a Request's body gets to show that it was there all the time. */
const MAX_TURNS = 32;

type Piece = ReadableStreamReadResult<Uint8Array>;

/**
 * The body of a Request is a stream, even where it was made from a string that a redirect may have sent again. One that ends
 * with its first piece, and at once, is taken to be such.
 */
async function readWhole(stream: ReadableStream<Uint8Array>): Promise<FetchBody> {
  const reader = stream.getReader();
  const first = reader.read();
  const begun = await atOnce(first);
  if (begun === undefined) return { body: new ResumedStream([first], reader), isReplayable: false };
  if (begun.done) return { body: new Uint8Array(0), isReplayable: true };
  const second = reader.read();
  if ((await atOnce(second))?.done === true) return { body: begun.value, isReplayable: true };
  return { body: new ResumedStream([first, second], reader), isReplayable: false };
}

async function atOnce(read: Promise<Piece>): Promise<Piece | undefined> {
  let piece: Piece | undefined;
  // An error is told when the stream is sent.
  read.then((result) => piece = result, () => {});
  for (let turn = 0; turn < MAX_TURNS && piece === undefined; turn++) await undefined;
  return piece;
}

/** A stream that has been asked for its beginning. */
class ResumedStream implements AsyncIterable<Uint8Array>, AsyncIterator<Uint8Array> {
  readonly #begun: Promise<Piece>[];
  readonly #reader: ReadableStreamDefaultReader<Uint8Array>;

  constructor(begun: Promise<Piece>[], reader: ReadableStreamDefaultReader<Uint8Array>) {
    this.#begun = begun;
    this.#reader = reader;
  }

  [Symbol.asyncIterator](): AsyncIterator<Uint8Array> {
    return this;
  }

  async next(): Promise<IteratorResult<Uint8Array>> {
    const { done, value } = await (this.#begun.shift() ?? this.#reader.read());
    return done ? { done: true, value: undefined } : { done: false, value };
  }

  async return(): Promise<IteratorResult<Uint8Array>> {
    await this.#reader.cancel();
    return { done: true, value: undefined };
  }
}

// Fetch Standard, "HTTP-network-or-cache fetch": what the user has not said himself.
function addDefaults(headers: [string, string][]): void {
  let [hasAccept, hasAgent, hasEncoding, hasRange] = [false, false, false, false];
  for (const [name] of headers) {
    switch (name.length === 5 || name.length === 6 || name.length > 9 ? name.toLowerCase() : "") {
      case "accept":
        hasAccept = true;
        break;
      case "user-agent":
        hasAgent = true;
        break;
      case "accept-encoding":
        hasEncoding = true;
        break;
      case "range":
        hasRange = true;
    }
  }
  if (!hasAccept) headers.push(["Accept", "*/*"]);
  if (!hasAgent) headers.push(["User-Agent", "holdfast"]);
  // A part of a coded body can be decoded by nobody.
  if (!hasEncoding) headers.push(["Accept-Encoding", hasRange ? "identity" : ACCEPT_ENCODING]);
}
