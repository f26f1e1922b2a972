/**
 * What the caller of a request gave, read and checked: everything that can be known before a connection is asked for.
 * Knows no connection and no time.
 *
 * Strategy: all that is wrong is thrown here, so that it costs no slot; what is read is read once.
 *
 * @module
 */

import { invalidArgType, invalidArgValue, outOfRange } from "./core/errors.ts";
import { decodeLatin1 } from "./core/latin1.ts";
import {
  encodeHead,
  encodeHeadAndBody,
  headerEntries,
  type HeadersInput,
  MAX_JOINED_BODY_BYTES,
  type RequestHead,
  serializeRequest,
} from "./core/request_serializer.ts";
import type { RetryPolicy } from "./core/retry.ts";
import { DEFAULT_RETRY_POLICY, isIdempotent, MAX_TRIES } from "./core/retry.ts";
import { type Limits, readTimeouts, type RequestTimeouts } from "./deadlines.ts";
import type { RequestTarget } from "./options.ts";
import { type OutgoingBody, readBody, type RequestBodyInput } from "./request_body.ts";
import type { IncomingHeaders } from "./core/headers.ts";
import type { TlsOptions } from "../runtime/socket.ts";

/** An interim response. */
export interface InformationalResponse {
  /** 100 to 199, but for 101. */
  readonly status: number;
  /** The reason phrase; may be empty. */
  readonly statusText: string;
  /** As Node's `message.headers`. */
  readonly headers: IncomingHeaders;
  /** Names and values in turn, as received. */
  readonly rawHeaders: readonly string[];
}

/** What a retry policy is told. */
export interface RetryFailure {
  /** What the attempt failed with. */
  readonly error: Error;
  /** As sent. */
  readonly method: string;
  /** Attempts so far, from 1. */
  readonly attempts: number;
  /** The connection had carried an earlier request. */
  readonly reusedSocket: boolean;
  /** Bytes of the request given to the socket, whether or not they left. */
  readonly bytesWritten: number;
}

/**
 * Whether a failed request is sent again.
 *
 * - `"idempotent"`, the default: once, after a failure on a connection that had served before
 * - `false`: never
 * - a function: called for each failure, on new connections too, up to 4 attempts in all; true: again at once, a number:
 *   again after so many ms
 *
 * Whatever is chosen, a request is sent again only where no server can mind (RFC 9110 section 9.2.2): no byte of a
 * response has come, the body can be sent from its beginning, and the method is idempotent, or an Idempotency-Key says
 * as much, or not one byte was given to the socket.
 */
export type RetryOption = "idempotent" | false | ((failure: RetryFailure) => boolean | number);

/** What to send, and when to give up. */
export interface AgentRequestInit {
  /**
   * Default "GET". Sent as it is given: methods are case-sensitive (RFC 9110 section 9.1). CONNECT is refused
   * (ERR_INVALID_ARG_VALUE): its answer is no body but a tunnel, which `request()` of `@holdfast/agent/http` gives.
   */
  readonly method?: string | undefined;
  /** An object, pairs, a flat array, Headers or a Map. */
  readonly headers?: HeadersInput | undefined;
  /**
   * A string goes as UTF-8; bytes are read until the request is sent: leave them as they are so long. A Blob, FormData
   * and URLSearchParams bring their Content-Type. A stream or an iterable is sent chunked unless the headers have a
   * Content-Length, is read once and closed whatever happens; a function makes a fresh body for each attempt.
   */
  readonly body?: RequestBodyInput;
  /** Aborts at any stage: the promise, or the body's reading, rejects with AbortError (code ABORT_ERR). */
  readonly signal?: AbortSignal | null | undefined;
  /** When to give up; the error is a TimeoutError (code ETIMEDOUT) that names the phase. */
  readonly timeouts?: RequestTimeouts | undefined;
  /** Default "idempotent". */
  readonly retry?: RetryOption | undefined;
  /**
   * Ask again where a 429 or 503 says by Retry-After when, at most so many ms later (true: 60,000) and 4 times in all; as for
   * `retry`, only what is idempotent and can be sent again. Default false: the 429 or 503 is the response.
   */
  readonly retryAfter?: boolean | number | undefined;
  /**
   * Ask the server first (RFC 9110 section 10.1.1): the body waits for 100 (Continue), at most so many ms (true: 1,000), and
   * is not sent where a final response comes instead. Default false.
   */
  readonly expectContinue?: boolean | number | undefined;
  /** Called with each interim response. */
  readonly onInformational?: ((response: InformationalResponse) => void) | undefined;
  /**
   * Decode the body by its Content-Encoding: gzip, deflate, br, and zstd where the runtime has it, at most 5 on top of
   * each other; another one is a DecodingError (code ERR_CONTENT_DECODING). Default false: the body as it comes.
   */
  readonly decode?: boolean | undefined;
  /** TLS options of this call, over the agent's: connections are shared by equal options alone. */
  readonly tls?: Omit<TlsOptions, "host"> | undefined;
  /** A unix socket's path: the connection goes there, Host is still the URL's. */
  readonly socketPath?: string | undefined;
  /**
   * Take a body that ends with the connection for whole, although TLS ended without close_notify: some servers never send
   * one. Default false, where the runtime can tell.
   */
  readonly allowTruncatedTls?: boolean | undefined;
}

/** curl's, and what RFC 9110 section 10.1.1 asks for: not to wait for ever. */
const CONTINUE_TIMEOUT_MS = 1_000;
const FREQUENT_RETRY: RetryPolicy = { maxTries: MAX_TRIES, freshToo: true };
const NO_RETRY: RetryPolicy = { maxTries: 1, freshToo: false };

/** See the file's comment. */
export interface RequestPlan {
  readonly method: string;
  /** The head, with a small body behind it. */
  readonly head: Uint8Array;
  /** A body that is known and goes right behind the head. */
  readonly bytes: Uint8Array | undefined;
  /** The body as a whole, whichever way it goes; undefined: none. */
  readonly body: OutgoingBody | undefined;
  /** It is pulled from its source, or waits for 100 (Continue). */
  readonly isUpload: boolean;
  /** Content-Length as sent; undefined: none was. */
  readonly contentLength: number | undefined;
  /** How long the body waits for 100 (Continue), ms; undefined: it does not. */
  readonly continueTimeoutMs: number | undefined;
  readonly isLast: boolean;
  readonly limits: Limits;
  readonly retryPolicy: RetryPolicy;
  readonly mayRetry: ((failure: RetryFailure) => boolean | number) | undefined;
}

/** Reads and checks a request. Throws TypeError and RangeError with Node's codes. */
export function planRequest(
  isPersistent: boolean,
  target: RequestTarget,
  init: AgentRequestInit,
): RequestPlan {
  const { headers = {}, retry = "idempotent", expectContinue } = init;
  const method = readMethod(init.method);
  readSignal(init.signal);
  const limits = readTimeouts(init.timeouts);
  const retryPolicy = readRetry(retry);
  const continueTimeoutMs = readContinue(expectContinue);
  let body = readBody(init.body);
  try {
    const head = serializeRequest({
      method,
      target: target.path,
      host: target.host,
      headers: withDefaults(headers, target.authorization, body?.contentType),
      body: body === undefined ? "none" : body.length ?? "stream",
      // Keep-alive is HTTP/1.1's default and needs no line (RFC 9112 section 9.3).
      connection: isPersistent ? "omit" : "close",
      expectContinue: continueTimeoutMs !== undefined,
    });
    // The headers promise chunks: there is a body then, if only an empty one.
    if (head.framing === "chunked") body ??= readBody("");
    const isUpload = body !== undefined && isPulled(body, head);
    const bytes = isUpload || body?.length === 0 ? undefined : body?.bytes;
    const isJoined = bytes !== undefined && bytes.length <= MAX_JOINED_BODY_BYTES;
    const waitMs = continueTimeoutMs ?? CONTINUE_TIMEOUT_MS;
    return {
      method,
      head: isJoined ? encodeHeadAndBody(head, bytes) : encodeHead(head),
      bytes: isJoined ? undefined : bytes,
      body,
      isUpload,
      contentLength: head.contentLength,
      continueTimeoutMs: isUpload && head.expectContinue ? waitMs : undefined,
      isLast: head.connectionClose,
      limits,
      retryPolicy,
      mayRetry: typeof retry === "function" ? retry : undefined,
    };
  } catch (error) {
    body?.discard(error);
    throw error;
  }
}

function readMethod(method: string = "GET"): string {
  if (method !== "CONNECT") return method;
  const why = "asks for a tunnel, which only a request of node:http's kind can give";
  throw invalidArgValue("init.method", why, method);
}

function isPulled(body: OutgoingBody, head: RequestHead): boolean {
  if (head.framing === "chunked") return true;
  return body.length !== 0 && (body.bytes === undefined || head.expectContinue);
}

/** Another realm's AbortSignal and a polyfill's are taken, too. ERR_INVALID_ARG_TYPE for what is none. */
export function readSignal(signal: unknown): AbortSignal | undefined {
  if (signal === undefined || signal === null) return undefined;
  if (typeof signal === "object" && "aborted" in signal && "addEventListener" in signal) {
    return signal as AbortSignal;
  }
  throw invalidArgType("init.signal", "an instance of AbortSignal", signal);
}

function readRetry(retry: unknown): RetryPolicy {
  if (retry === "idempotent") return DEFAULT_RETRY_POLICY;
  if (retry === false) return NO_RETRY;
  if (typeof retry === "function") return FREQUENT_RETRY;
  throw invalidArgType("init.retry", '"idempotent", false or a function', retry);
}

function readContinue(expectContinue: unknown): number | undefined {
  if (expectContinue === undefined || expectContinue === false) return undefined;
  if (expectContinue === true) return CONTINUE_TIMEOUT_MS;
  if (typeof expectContinue !== "number") {
    throw invalidArgType("init.expectContinue", "of type boolean or number", expectContinue);
  }
  if (expectContinue >= 0 && expectContinue <= 2_147_483_647) return expectContinue;
  throw outOfRange("init.expectContinue", "a number of milliseconds from 0", expectContinue);
}

/** What the user's headers do not say, the URL's credentials and the body's media type do. */
function withDefaults(
  headers: HeadersInput,
  authorization: string | undefined,
  contentType: string | undefined,
): HeadersInput {
  if (authorization === undefined && contentType === undefined) return headers;
  const pairs = [...headerEntries(headers)];
  const has = (wanted: string): boolean =>
    pairs.some(([name]) => typeof name === "string" && name.toLowerCase() === wanted);
  if (authorization !== undefined && !has("authorization")) pairs.unshift(["Authorization", authorization]);
  if (contentType !== undefined && !has("content-type")) pairs.push(["Content-Type", contentType]);
  return pairs;
}

/** The request says that it may be repeated: its method, or an Idempotency-Key with a value. */
export function hasIdempotencyKey(plan: RequestPlan): boolean {
  // Only after a failure: the head is read again rather than looked through each time.
  const end = plan.head.length;
  return !isIdempotent(plan.method) &&
    IDEMPOTENCY_KEY.test(decodeLatin1(plan.head, 0, end).split("\r\n\r\n", 1)[0]!);
}

const IDEMPOTENCY_KEY = /\r\nidempotency-key:[ \t]*[^ \t\r\n]/i;
