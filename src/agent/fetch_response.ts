/**
 * The runtime's own Response over a lean response. Owns the members that no constructor sets (url, redirected, type) and
 * the way from a body to a ReadableStream. Knows no agent and no connection.
 *
 * Strategy: a body that is whole already is given as bytes, which every runtime handles faster than a stream.
 *
 * @module
 */

import { AbortError, type FailureFacts, FetchError } from "./core/errors.ts";
import type { AgentResponse } from "./request_exchange.ts";
import { BufferedBody, type ResponseBody } from "./response_body.ts";

/** What fetch knows of a response beyond the response. */
export interface FetchFacts {
  /** Where it came from. */
  readonly url: URL;
  /** After at least one redirect. */
  readonly isRedirected: boolean;
  /** Its abort is what reading the body fails with. */
  readonly signal: AbortSignal | undefined;
  /** The response has no body, whatever its head says: HEAD. */
  readonly isBodyless: boolean;
}

/** Makes the Response; `whole`: the body, where it has been read already. */
export function toResponse(response: AgentResponse, facts: FetchFacts, whole?: Uint8Array): Response {
  FetchResponse ??= makeClass();
  return new FetchResponse(bodyOf(response, facts, whole), response, facts);
}

// Fetch Standard, "null body status", and HEAD.
function bodyOf(response: AgentResponse, facts: FetchFacts, whole?: Uint8Array): BodyInit | null {
  const { status, body } = response;
  if (facts.isBodyless || status === 204 || status === 205 || status === 304) {
    // What comes all the same, nobody can read; it must not hold the connection. How it ends does not matter.
    if (whole === undefined) body.dump().catch(() => {});
    return null;
  }
  whole ??= body instanceof BufferedBody ? body.takeWhole() : undefined;
  return whole === undefined ? streamOf(body, facts.signal) : whole as Uint8Array<ArrayBuffer>;
}

function streamOf(
  body: ResponseBody,
  signal: AbortSignal | undefined,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const iterator = body[Symbol.asyncIterator]();
  return new ReadableStream({
    type: "bytes",
    async pull(controller): Promise<void> {
      try {
        const { done, value } = await iterator.next();
        if (!done) return controller.enqueue(value as Uint8Array<ArrayBuffer>);
        controller.close();
        // A reader with a buffer of his own waits for an answer.
        controller.byobRequest?.respond(0);
      } catch (error) {
        throw fetchFailure(error, signal);
      }
    },
    async cancel(): Promise<void> {
      await iterator.return?.();
    },
  });
}

/** An error as the Fetch Standard has it: the signal's reason, or a TypeError with what happened as its cause. */
export function fetchFailure(error: unknown, signal: AbortSignal | undefined): unknown {
  if (error instanceof AbortError && signal?.aborted === true) return signal.reason;
  // A caller's mistake is a TypeError by itself.
  return error instanceof TypeError ? error : new FetchError(error as Error & Partial<FailureFacts>);
}

type FetchResponseClass = new (body: BodyInit | null, response: AgentResponse, facts: FetchFacts) => Response;

// Made with the first response: Node loads its fetch when somebody first names Response, which takes some 30 ms.
let FetchResponse: FetchResponseClass | undefined;

function makeClass(): FetchResponseClass {
  return class extends Response {
    readonly #status: number;
    readonly #facts: FetchFacts;

    constructor(body: BodyInit | null, response: AgentResponse, facts: FetchFacts) {
      const { status, statusText, rawHeaders } = response;
      // The constructor takes no other status, a server may send one.
      super(body, { status: status < 600 ? status : 200, statusText });
      // Appended, which on Deno takes a third of the time of giving them to the constructor.
      const { headers } = this;
      for (let i = 0; i < rawHeaders.length; i += 2) headers.append(rawHeaders[i]!, rawHeaders[i + 1]!);
      this.#status = status;
      this.#facts = facts;
    }

    // Node 20 asks for the status in the constructor of Response, before there are any fields.
    override get status(): number {
      return #status in this ? this.#status : super.status;
    }

    override get ok(): boolean {
      return this.status >= 200 && this.status < 300;
    }

    override get url(): string {
      return withoutFragment(this.#facts.url);
    }

    override get redirected(): boolean {
      return this.#facts.isRedirected;
    }

    override get type(): ResponseType {
      return "basic";
    }

    override clone(): Response {
      const clone = super.clone();
      const { status, ok, url, redirected, type } = this;
      const members = Object.entries({ status, ok, url, redirected, type }).map(([name, value]) =>
        [name, { value, configurable: true }] as const
      );
      return Object.defineProperties(clone, Object.fromEntries(members));
    }
  };
}

function withoutFragment(url: URL): string {
  const end = url.href.indexOf("#");
  return end === -1 ? url.href : url.href.slice(0, end);
}
