/**
 * The body of a request in any of its forms, read as one: bytes, or a source that is pulled. Owns lengths, media types
 * and the ways to close a source. Knows no connection and no framing.
 *
 * Strategy: what is small and known is bytes, so that it goes with the head in one write. Everything else is a source
 * that is opened when its turn comes and closed exactly once, whether or not it was ever opened.
 *
 * @module
 */

import { BodySourceError, bodyUsed, invalidArgType } from "./core/errors.ts";

/** A request's body. Strings go as UTF-8. */
export type RequestBody =
  | string
  | Uint8Array
  | ArrayBuffer
  | ArrayBufferView
  | Blob
  | FormData
  | URLSearchParams
  | ReadableStream<Uint8Array>
  | AsyncIterable<Uint8Array | string>;

/** A body, or a function that makes a fresh one for each attempt, so that a stream may be sent again. */
export type RequestBodyInput = RequestBody | (() => RequestBody | Promise<RequestBody>) | null | undefined;

/** Where the pieces of a body come from. */
export interface ByteSource {
  /** The next piece, of at least no bytes; undefined: there are no more. Rejects with BodySourceError. */
  next(): Promise<Uint8Array | undefined>;
  /** Gives the source up: what it holds is released. */
  close(reason: unknown): void;
}

/** See the file's comment. */
export interface OutgoingBody {
  /** All of it, where it is known and need not be cut into pieces. */
  readonly bytes: Uint8Array | undefined;
  /** In bytes; undefined: only its end will tell. */
  readonly length: number | undefined;
  /** What the body says of its media type, for a request whose headers do not. */
  readonly contentType: string | undefined;
  /** It can be sent again from its first byte. */
  readonly isReplayable: boolean;
  /** Begins. Once, unless it is replayable. */
  open(): ByteSource;
  /** It will not be opened any more. */
  discard(reason: unknown): void;
}

/** From this size on bytes are sent piece by piece, so that an early answer stops the upload. */
const MAX_WHOLE_BYTES = 262_144;
/** Size of such a piece. */
const PIECE_BYTES = 65_536;

/** Reads a body in any of its forms; undefined: none. ERR_INVALID_ARG_TYPE, ERR_BODY_USED. */
export function readBody(body: RequestBodyInput): OutgoingBody | undefined {
  if (body === undefined || body === null) return undefined;
  if (typeof body === "function") return new MadeBody(body);
  return readOne(body);
}

function readOne(body: RequestBody): OutgoingBody {
  if (typeof body === "string") return new BytesBody(encoder.encode(body));
  if (body instanceof Uint8Array) return new BytesBody(body);
  if (typeof body !== "object" || body === null) throw unreadable(body);
  if (body instanceof ArrayBuffer) return new BytesBody(new Uint8Array(body));
  if (ArrayBuffer.isView(body)) {
    return new BytesBody(new Uint8Array(body.buffer, body.byteOffset, body.byteLength));
  }
  if (body instanceof URLSearchParams) return new BytesBody(encoder.encode(String(body)), FORM_TYPE);
  if (isBlob(body)) return new PartsBody([body], body.type === "" ? undefined : body.type);
  if (body instanceof FormData) return formBody(body);
  if (body instanceof ReadableStream) return new StreamBody(body);
  if (typeof (body as Partial<AsyncIterable<unknown>>)[Symbol.asyncIterator] === "function") {
    return new IterableBody(body as AsyncIterable<unknown>);
  }
  throw unreadable(body);
}

const encoder = new TextEncoder();
const FORM_TYPE = "application/x-www-form-urlencoded;charset=UTF-8";

function unreadable(body: unknown): Error {
  return invalidArgType(
    "init.body",
    "of type string or function, or bytes, a Blob, FormData, URLSearchParams, a ReadableStream or an async iterable",
    body,
  );
}

// Node's Blob, a runtime's File and a polyfill's: they have these, whatever made them.
function isBlob(body: object): body is Blob {
  if (body instanceof Blob) return true;
  const { size, stream, type } = body as Partial<Blob>;
  return typeof size === "number" && typeof stream === "function" && typeof type === "string";
}

/** Known and whole. */
class BytesBody implements OutgoingBody {
  readonly bytes: Uint8Array | undefined;
  readonly length: number;
  readonly contentType: string | undefined;
  readonly isReplayable = true;
  readonly #all: Uint8Array;

  constructor(bytes: Uint8Array, contentType?: string) {
    this.#all = bytes;
    this.bytes = bytes.length <= MAX_WHOLE_BYTES ? bytes : undefined;
    this.length = bytes.length;
    this.contentType = contentType;
  }

  open(): ByteSource {
    return new IteratorSource(pieces(this.#all));
  }

  discard(): void {}
}

function* pieces(bytes: Uint8Array): Generator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += PIECE_BYTES) yield bytes.subarray(at, at + PIECE_BYTES);
}

/** Blobs with bytes between them. */
class PartsBody implements OutgoingBody {
  readonly bytes = undefined;
  readonly length: number;
  readonly contentType: string | undefined;
  readonly isReplayable = true;
  readonly #parts: readonly (Uint8Array | Blob)[];

  constructor(parts: readonly (Uint8Array | Blob)[], contentType: string | undefined) {
    this.#parts = parts;
    this.length = parts.reduce((sum, part) => sum + ("size" in part ? part.size : part.length), 0);
    this.contentType = contentType;
  }

  open(): ByteSource {
    return new IteratorSource(partPieces(this.#parts));
  }

  discard(): void {}
}

async function* partPieces(parts: readonly (Uint8Array | Blob)[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) {
    if (part instanceof Uint8Array) {
      yield part;
      continue;
    }
    const reader = part.stream().getReader();
    try {
      for (let read = await reader.read(); !read.done; read = await reader.read()) yield read.value;
    } finally {
      // Nobody waits for it, and a Blob has nothing to release but memory.
      reader.cancel().catch(() => {});
    }
  }
}

/** multipart/form-data (RFC 7578), as the Fetch Standard's "multipart/form-data encoding algorithm" has it. */
function formBody(form: FormData): OutgoingBody {
  const boundary = `----holdfast${crypto.randomUUID().replaceAll("-", "")}`;
  const parts: (Uint8Array | Blob)[] = [];
  for (const [name, value] of form) {
    let head = `--${boundary}\r\nContent-Disposition: form-data; name="${quoted(withCrLf(name))}"`;
    if (typeof value === "string") {
      parts.push(encoder.encode(`${head}\r\n\r\n${withCrLf(value)}\r\n`));
    } else {
      head += `; filename="${quoted(value.name)}"\r\nContent-Type: ${
        value.type || "application/octet-stream"
      }`;
      parts.push(encoder.encode(`${head}\r\n\r\n`), value, encoder.encode("\r\n"));
    }
  }
  parts.push(encoder.encode(`--${boundary}--\r\n`));
  return new PartsBody(parts, `multipart/form-data; boundary=${boundary}`);
}

function withCrLf(text: string): string {
  return text.replace(/\r\n?|\n/g, "\r\n");
}

function quoted(text: string): string {
  return text.replace(/\n/g, "%0A").replace(/\r/g, "%0D").replace(/"/g, "%22");
}

/** A web stream: one reading. */
class StreamBody implements OutgoingBody {
  readonly bytes = undefined;
  readonly length = undefined;
  readonly contentType = undefined;
  readonly isReplayable = false;
  readonly #stream: ReadableStream<unknown>;

  constructor(stream: ReadableStream<unknown>) {
    if (stream.locked) throw bodyUsed();
    this.#stream = stream;
  }

  open(): ByteSource {
    const reader = this.#stream.getReader();
    return {
      next: () => pulled(reader.read()),
      // What cancel() rejects with has nobody left to tell: the request has ended already.
      close: (reason) => void reader.cancel(reason).catch(() => {}),
    };
  }

  discard(reason: unknown): void {
    if (!this.#stream.locked) this.#stream.cancel(reason).catch(() => {});
  }
}

/** The part of a Node stream by which it is closed. */
interface Destroyable {
  destroy?: ((error?: Error) => unknown) | undefined;
  on?: ((event: "error", listener: () => void) => unknown) | undefined;
  once?: unknown;
}

/** Anything to iterate over, Node's streams among them: one reading. */
class IterableBody implements OutgoingBody {
  readonly bytes = undefined;
  readonly length = undefined;
  readonly contentType = undefined;
  readonly isReplayable = false;
  readonly #iterable: AsyncIterable<unknown>;

  constructor(iterable: AsyncIterable<unknown>) {
    this.#iterable = iterable;
    const { destroy, on } = iterable as Destroyable;
    // A Node stream that fails before anybody iterates would end the process; its iterator tells the error again.
    if (typeof destroy === "function" && typeof on === "function") on.call(iterable, "error", () => {});
  }

  open(): ByteSource {
    return new IteratorSource(this.#iterable[Symbol.asyncIterator](), this.#iterable);
  }

  discard(): void {
    if (closeIterable(this.#iterable)) return;
    // What it throws has nobody left to tell.
    new IteratorSource(this.#iterable[Symbol.asyncIterator]()).close();
  }
}

// A Node stream whose iterator was never asked for anything is not closed by return(); destroy() closes it at any time.
function closeIterable(iterable: AsyncIterable<unknown>): boolean {
  const stream = iterable as Destroyable;
  if (typeof stream.destroy !== "function") return false;
  stream.destroy();
  return true;
}

class IteratorSource implements ByteSource {
  readonly #iterator: AsyncIterator<unknown> | Iterator<unknown>;
  readonly #iterable: AsyncIterable<unknown> | undefined;

  constructor(
    iterator: AsyncIterator<unknown> | Iterator<unknown>,
    iterable?: AsyncIterable<unknown>,
  ) {
    this.#iterator = iterator;
    this.#iterable = iterable;
  }

  next(): Promise<Uint8Array | undefined> {
    return pulled(this.#iterator.next());
  }

  close(): void {
    // What it throws, at once or later, has nobody left to tell.
    this.#close().catch(() => {});
  }

  async #close(): Promise<void> {
    if (this.#iterable !== undefined && closeIterable(this.#iterable)) return;
    // An iterator may come without return().
    await this.#iterator.return?.();
  }
}

/** An iterator's step, or a reader's. */
interface Step {
  readonly done?: boolean | undefined;
  readonly value?: unknown;
}

async function pulled(
  next: Step | Promise<Step>,
): Promise<Uint8Array | undefined> {
  try {
    const { done, value } = await next;
    return done === true ? undefined : pieceOf(value);
  } catch (error) {
    throw new BodySourceError(error);
  }
}

function pieceOf(value: unknown): Uint8Array {
  if (value instanceof Uint8Array) return value;
  if (typeof value === "string") return encoder.encode(value);
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  throw invalidArgType("chunk", "of type string or bytes", value);
}

/** A function's: made anew for each attempt, so it is replayable whatever it makes. */
class MadeBody implements OutgoingBody {
  readonly bytes: Uint8Array | undefined;
  readonly length: number | undefined;
  readonly contentType: string | undefined;
  readonly isReplayable = true;
  readonly #make: () => RequestBody | Promise<RequestBody>;
  /** The first one is made at once: it may know its length. */
  #first: OutgoingBody | Promise<OutgoingBody> | undefined;

  constructor(make: () => RequestBody | Promise<RequestBody>) {
    this.#make = make;
    const first = this.#made();
    this.#first = first;
    if (first instanceof Promise) return;
    this.bytes = first.bytes;
    this.length = first.length;
    this.contentType = first.contentType;
  }

  open(): ByteSource {
    const body = this.#first ?? this.#made();
    this.#first = undefined;
    return body instanceof Promise ? new LateSource(body) : body.open();
  }

  discard(reason: unknown): void {
    const first = this.#first;
    this.#first = undefined;
    if (first instanceof Promise) first.then((body) => body.discard(reason), () => {});
    else first?.discard(reason);
  }

  #made(): OutgoingBody | Promise<OutgoingBody> {
    let body: RequestBody | Promise<RequestBody>;
    try {
      body = this.#make();
    } catch (error) {
      throw new BodySourceError(error);
    }
    if (!isPromise(body)) return readOne(body);
    const made = body.then(readOne);
    // It is told when the body is opened; until then it is nobody's unhandled rejection.
    made.catch(() => {});
    return made;
  }
}

function isPromise(value: unknown): value is Promise<RequestBody> {
  return value instanceof Promise || typeof (value as { then?: unknown } | null)?.then === "function";
}

/** A source that is still being made. */
class LateSource implements ByteSource {
  readonly #body: Promise<OutgoingBody>;
  #source: ByteSource | undefined;
  #isClosed = false;

  constructor(body: Promise<OutgoingBody>) {
    this.#body = body;
  }

  async next(): Promise<Uint8Array | undefined> {
    this.#source ??= await this.#opened();
    return this.#isClosed ? undefined : await this.#source.next();
  }

  close(reason: unknown): void {
    this.#isClosed = true;
    if (this.#source !== undefined) this.#source.close(reason);
    else this.#body.then((body) => body.discard(reason), () => {});
  }

  async #opened(): Promise<ByteSource> {
    try {
      return (await this.#body).open();
    } catch (error) {
      throw new BodySourceError(error);
    }
  }
}
