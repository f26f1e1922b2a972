/**
 * A response of the lean face, as its caller sees it. Owns nothing but the header objects, once somebody has asked for them.
 *
 * @module
 */

import type { IncomingHeaders } from "./core/headers.ts";
import type { ResponseHead } from "./core/response_parser.ts";
import type { RequestTimings } from "./request_timings.ts";
import type { ResponseBody } from "./response_body.ts";

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
  /** Fields behind a chunked body, as `headers`; empty until the body has come to its end. */
  readonly trailers: IncomingHeaders;
  /** Must be read or dumped, so that the connection can serve others. */
  readonly body: ResponseBody;
  /** The connection had carried a request before. */
  readonly reusedSocket: boolean;
  /** When what happened. */
  readonly timings: RequestTimings;
}

/** What becomes known after the head. */
export interface LaterFacts {
  /** The fields behind the body. */
  readonly trailers: IncomingHeaders;
  /** When what happened. */
  readonly timings: RequestTimings;
}

/** Header objects are made when first asked for: most callers read few of them, or none. */
export class LeanResponse implements AgentResponse {
  readonly body: ResponseBody;
  readonly reusedSocket: boolean;
  readonly #head: ResponseHead;
  readonly #facts: LaterFacts;
  #headers: IncomingHeaders | undefined;
  #rawHeaders: readonly string[] | undefined;

  /** What is known with the head, and who knows the rest. */
  constructor(facts: LaterFacts, head: ResponseHead, body: ResponseBody, reusedSocket: boolean) {
    this.#facts = facts;
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

  get trailers(): IncomingHeaders {
    return this.#facts.trailers;
  }

  get timings(): RequestTimings {
    return this.#facts.timings;
  }
}
