/**
 * The lean request: a promise of a response over a Dispatcher. Owns the promise, the abort signal and the body
 * reader. Knows no Agent, connection or pool.
 *
 * @module
 */

import { AbortError, invalidArgType } from "./core/errors.ts";
import type { BodyFraming } from "./core/framing.ts";
import type { IncomingHeaders } from "./core/headers.ts";
import {
  encodeHead,
  encodeHeadAndBody,
  headerEntries,
  type HeadersInput,
  MAX_JOINED_BODY_BYTES,
  serializeRequest,
} from "./core/request_serializer.ts";
import type { ResponseHead } from "./core/response_parser.ts";
import type { Dispatched, Dispatcher, Endpoint, Exchange, ExchangeControl } from "./exchange.ts";
import type { RequestTarget } from "./options.ts";
import { BufferedBody, type ResponseBody } from "./response_body.ts";

/** What to send, and when to give up. */
export interface AgentRequestInit {
  /** Default "GET". Sent as it is given: methods are case-sensitive (RFC 9110 section 9.1). */
  readonly method?: string | undefined;
  /** An object, pairs, a flat array, Headers or a Map. */
  readonly headers?: HeadersInput | undefined;
  /** A string goes as UTF-8. Bytes are read until the request is sent: leave them as they are so long. */
  readonly body?: string | Uint8Array | null | undefined;
  /** Aborts at any stage: the promise, or the body's reading, rejects with AbortError (code ABORT_ERR). */
  readonly signal?: AbortSignal | undefined;
}

/** A response whose head has come; its body is on the way. */
export interface AgentResponse {
  /** 200 to 999: interim responses are not shown. */
  readonly status: number;
  /** The reason phrase; may be empty. */
  readonly statusText: string;
  /** As Node's `message.headers`: lower-cased names, duplicates joined, `set-cookie` an array. */
  readonly headers: IncomingHeaders;
  /** Names and values in turn, as received. */
  readonly rawHeaders: readonly string[];
  /** Must be read or dumped, so that the connection can serve others. */
  readonly body: ResponseBody;
  /** The connection had carried a request before. */
  readonly reusedSocket: boolean;
}

/**
 * Sends a request and resolves with the response once its head has come.
 *
 * @throws TypeError, as a rejection, for a method, header or body that cannot be sent (ERR_INVALID_HTTP_TOKEN, ERR_INVALID_CHAR,
 * ERR_INVALID_ARG_TYPE...), before a connection is asked for
 * @throws SocketError when no connection could be made or it broke
 * @throws ProtocolError when the server broke HTTP
 * @throws AbortError when `init.signal` aborted
 */
export async function request(
  dispatcher: Dispatcher,
  target: RequestTarget,
  init: AgentRequestInit = {},
): Promise<AgentResponse> {
  const { signal } = init;
  if (signal?.aborted) throw new AbortError(signal.reason);
  const exchange = new LeanExchange(outgoing(dispatcher, target, init), signal);
  exchange.dispatch(dispatcher, target.endpoint);
  return await exchange.response;
}

/** What of a request goes over the wire. */
interface Outgoing {
  readonly method: string;
  readonly head: Uint8Array;
  readonly body: Uint8Array | undefined;
  readonly isLast: boolean;
}

function outgoing(dispatcher: Dispatcher, target: RequestTarget, init: AgentRequestInit): Outgoing {
  const { method = "GET", headers = {} } = init;
  const body = bodyBytes(init.body);
  const head = serializeRequest({
    method,
    target: target.path,
    host: target.host,
    headers: target.authorization === undefined ? headers : withAuthorization(headers, target.authorization),
    body: body === undefined ? "none" : body.length,
    // Keep-alive is HTTP/1.1's default and needs no line (RFC 9112 section 9.3).
    connection: dispatcher.isPersistent ? "omit" : "close",
  });
  const isLast = head.connectionClose;
  if (body === undefined || body.length === 0) {
    return { method, head: encodeHead(head), body: undefined, isLast };
  }
  if (body.length > MAX_JOINED_BODY_BYTES) return { method, head: encodeHead(head), body, isLast };
  return { method, head: encodeHeadAndBody(head, body), body: undefined, isLast };
}

function bodyBytes(body: AgentRequestInit["body"]): Uint8Array | undefined {
  if (body === undefined || body === null) return undefined;
  if (typeof body === "string") return new TextEncoder().encode(body);
  if (body instanceof Uint8Array) return body;
  throw invalidArgType("init.body", "of type string or an instance of Uint8Array", body);
}

/** The user's own Authorization wins over the URL's credentials. */
function withAuthorization(headers: HeadersInput, authorization: string): HeadersInput {
  const pairs = [...headerEntries(headers)];
  const isGiven = pairs.some(([name]) => typeof name === "string" && name.toLowerCase() === "authorization");
  return isGiven ? pairs : [["Authorization", authorization], ...pairs];
}

class LeanExchange implements Exchange {
  readonly method: string;
  readonly head: Uint8Array;
  readonly body: Uint8Array | undefined;
  readonly isLast: boolean;
  readonly hasMore = false;
  /** Settles with the head, or with what kept it from coming. */
  readonly response: Promise<AgentResponse>;
  readonly #signal: AbortSignal | undefined;
  #resolve!: (response: AgentResponse) => void;
  #reject!: (error: Error) => void;
  #dispatched: Dispatched | undefined;
  #control: ExchangeControl | undefined;
  #reader: BufferedBody | undefined;
  #isReused = false;

  constructor(outgoing: Outgoing, signal: AbortSignal | undefined) {
    this.method = outgoing.method;
    this.head = outgoing.head;
    this.body = outgoing.body;
    this.isLast = outgoing.isLast;
    this.#signal = signal;
    this.response = new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
    });
  }

  dispatch(dispatcher: Dispatcher, endpoint: Endpoint): void {
    this.#dispatched = dispatcher.dispatch(this, endpoint);
    this.#signal?.addEventListener("abort", this.#onAbort);
  }

  onStart(control: ExchangeControl, isReused: boolean): void {
    this.#control = control;
    this.#isReused = isReused;
  }

  onInformational(): void {}

  onHead(head: ResponseHead, _framing: BodyFraming): void {
    this.#reader = new BufferedBody({
      resume: () => this.#control!.resume(),
      abort: () => this.#dispatched!.abort(new AbortError("The body was not read to its end")),
    });
    this.#resolve(new LeanResponse(head, this.#reader, this.#isReused));
  }

  onBody(chunk: Uint8Array): boolean {
    return this.#reader!.push(chunk);
  }

  onComplete(): void {
    this.#detachSignal();
    this.#reader!.complete();
  }

  onError(error: Error): void {
    this.#detachSignal();
    if (this.#reader === undefined) this.#reject(error);
    else this.#reader.fail(error);
  }

  readonly #onAbort = (): void => this.#dispatched!.abort(new AbortError(this.#signal!.reason));

  #detachSignal(): void {
    this.#signal?.removeEventListener("abort", this.#onAbort);
  }
}

/** Header objects are made when first asked for: most callers read few of them, or none. */
class LeanResponse implements AgentResponse {
  readonly body: ResponseBody;
  readonly reusedSocket: boolean;
  readonly #head: ResponseHead;
  #headers: IncomingHeaders | undefined;
  #rawHeaders: readonly string[] | undefined;

  constructor(head: ResponseHead, body: ResponseBody, reusedSocket: boolean) {
    this.#head = head;
    this.body = body;
    this.reusedSocket = reusedSocket;
  }

  get status(): number {
    return this.#head.status;
  }

  get statusText(): string {
    return this.#head.statusText;
  }

  get headers(): IncomingHeaders {
    return this.#headers ??= this.#head.headers.headers;
  }

  get rawHeaders(): readonly string[] {
    return this.#rawHeaders ??= this.#head.headers.rawHeaders;
  }
}
