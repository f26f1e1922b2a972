/**
 * The runtime's own Response over a lean response. Owns the members that no constructor sets (url, redirected, type) and
 * the way from a body to a ReadableStream. Knows no agent and no connection.
 *
 * Strategy: a body that is whole already is given as bytes, which every runtime handles faster than a stream; where nobody
 * looks inside of a Response, the body stays outside until somebody asks for a stream.
 *
 * @module
 */

import { AbortError, type FailureFacts, FetchError } from "./core/errors.ts";
import type { AgentResponse } from "./lean_response.ts";
import { BufferedBody, type ResponseBody } from "./response_body.ts";
import { servesResponses } from "../runtime/mod.ts";

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
  const { FilledResponse, LazyResponse } = classes ??= makeClasses();
  const { status, body } = response;
  // Fetch Standard, "null body status".
  if (facts.isBodyless || status === 204 || status === 205 || status === 304) {
    // What comes all the same, nobody can read; it must not hold the connection. How it ends does not matter.
    if (whole === undefined) body.dump().catch(() => {});
    return new FilledResponse(null, response, facts);
  }
  if (whole === undefined && !servesResponses) return new LazyResponse(response, facts);
  return new FilledResponse((whole ?? contentOf(body, facts)) as Content, response, facts);
}

/** What the runtimes' Response takes. */
type Content = Uint8Array<ArrayBuffer> | ReadableStream<Uint8Array<ArrayBuffer>>;

/** A body for a constructor: as bytes where all of it is there. */
function contentOf(body: ResponseBody, { signal }: FetchFacts): Content {
  return wholeOf(body) as Uint8Array<ArrayBuffer> | undefined ?? streamOf(body, signal);
}

function wholeOf(body: ResponseBody): Uint8Array | undefined {
  return body instanceof BufferedBody ? body.takeWhole() : undefined;
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

interface Classes {
  readonly FilledResponse: new (
    body: Content | null,
    response: AgentResponse,
    facts: FetchFacts,
  ) => Response;
  readonly LazyResponse: new (response: AgentResponse, facts: FetchFacts) => Response;
}

// Made with the first response: Node loads its fetch when somebody first names Response, which takes some 30 ms.
let classes: Classes | undefined;

function makeClasses(): Classes {
  /** With the members that no constructor sets. */
  class FetchResponse extends Response {
    readonly #status: number;
    readonly #facts: FetchFacts;

    constructor(body: Content | null, init: ResponseInit, status: number, facts: FetchFacts) {
      super(body, init);
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

    // Bun gives a stream's Blob no type.
    override async blob(): Promise<Blob> {
      const blob = await super.blob();
      const type = this.headers.get("content-type") ?? "";
      return blob.type === "" && type !== "" ? blob.slice(0, blob.size, type) : blob;
    }

    override clone(): Response {
      return likened(super.clone(), this);
    }
  }

  /** With the body inside. */
  class FilledResponse extends FetchResponse {
    constructor(body: Content | null, { status, statusText, rawHeaders }: AgentResponse, facts: FetchFacts) {
      // The constructor takes no other status, a server may send one.
      super(body, { status: status < 600 ? status : 200, statusText }, status, facts);
      append(this.headers, rawHeaders);
    }
  }

  /**
   * With the body beside it. Most are read whole, by text() or json(), which the lean body can do; a Response with the body
   * inside, which costs Node 20 more than all the rest, is made for whoever asks for more.
   */
  class LazyResponse extends FetchResponse {
    readonly #response: AgentResponse;
    readonly #facts: FetchFacts;
    #headers: Headers | undefined;
    #filled: Response | undefined;

    constructor(response: AgentResponse, facts: FetchFacts) {
      super(null, {}, response.status, facts);
      this.#response = response;
      this.#facts = facts;
    }

    override get statusText(): string {
      return this.#response.statusText;
    }

    override get headers(): Headers {
      if (this.#headers === undefined) append(this.#headers = new Headers(), this.#response.rawHeaders);
      return this.#headers;
    }

    override get body(): ReadableStream<Uint8Array<ArrayBuffer>> | null {
      return this.#fill().body;
    }

    override get bodyUsed(): boolean {
      return this.#filled?.bodyUsed ?? this.#response.body.bodyUsed;
    }

    override text(): Promise<string> {
      return this.#filled?.text() ?? this.#read(decode);
    }

    override json(): Promise<unknown> {
      return this.#filled?.json() ?? this.#read(parse);
    }

    override arrayBuffer(): Promise<ArrayBuffer> {
      return this.#filled?.arrayBuffer() ?? this.#read((bytes) => bytes.buffer as ArrayBuffer);
    }

    override blob(): Promise<Blob> {
      return this.#fill().blob();
    }

    override formData(): Promise<FormData> {
      return this.#fill().formData();
    }

    override clone(): Response {
      return likened(this.#fill().clone(), this);
    }

    async #read<T>(make: (bytes: Uint8Array) => T): Promise<T> {
      const { body } = this.#response;
      return make(wholeOf(body) ?? await this.#bytes(body));
    }

    async #bytes(body: ResponseBody): Promise<Uint8Array> {
      try {
        return await body.bytes();
      } catch (error) {
        throw fetchFailure(error, this.#facts.signal);
      }
    }

    // Whatever else the runtime's Response has, bytes() say: of the null body that is inside it would be wrong.
    static {
      const known = new Set([...Object.getOwnPropertyNames(LazyResponse.prototype), "constructor"]);
      for (const name of Object.getOwnPropertyNames(Response.prototype)) {
        const { value } = Object.getOwnPropertyDescriptor(Response.prototype, name)!;
        if (known.has(name) || typeof value !== "function") continue;
        Object.defineProperty(LazyResponse.prototype, name, {
          value(this: LazyResponse, ...args: unknown[]): unknown {
            return value.apply(this.#fill(), args);
          },
          configurable: true,
          writable: true,
        });
      }
    }

    #fill(): Response {
      if (this.#filled !== undefined) return this.#filled;
      const { body } = this.#response;
      const isSpent = body.bodyUsed;
      const content = isSpent ? new Uint8Array(0) : contentOf(body, this.#facts);
      const filled = this.#filled = new Response(content, { headers: this.headers });
      // As after text(): there is a stream, and its reader has it. An empty one has nothing to fail with.
      if (isSpent) void filled.body!.getReader().read();
      return filled;
    }
  }

  return { FilledResponse, LazyResponse };
}

const decoder = new TextDecoder();
const decode = (bytes: Uint8Array): string => decoder.decode(bytes);
const parse = (bytes: Uint8Array): unknown => JSON.parse(decoder.decode(bytes));

// On Deno this takes a third of the time of giving them to the constructor.
function append(headers: Headers, rawHeaders: readonly string[]): void {
  for (let i = 0; i < rawHeaders.length; i += 2) headers.append(rawHeaders[i]!, rawHeaders[i + 1]!);
}

/** Gives a clone what no constructor sets, and its own clones, too. */
function likened(clone: Response, original: Response): Response {
  const { status, ok, statusText, url, redirected, type } = original;
  const headers = new Headers(original.headers);
  const cloneOf = clone.clone.bind(clone);
  const members = { status, ok, statusText, url, redirected, type, headers };
  for (const [name, value] of Object.entries(members)) {
    Object.defineProperty(clone, name, { value, configurable: true });
  }
  return Object.defineProperty(clone, "clone", {
    value: () => likened(cloneOf(), clone),
    configurable: true,
    writable: true,
  });
}

function withoutFragment(url: URL): string {
  const end = url.href.indexOf("#");
  return end === -1 ? url.href : url.href.slice(0, end);
}
