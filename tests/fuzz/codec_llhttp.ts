/**
 * llhttp, Node's own parser, as WASM: the peer that the codec is compared with, in behaviour and in speed.
 *
 * The build is the one inside the npm package undici. The glue is as thin as it can be: offsets are noted while
 * llhttp runs, and the bytes are decoded once behind it.
 */

import { createRequire } from "node:module";
import process from "node:process";

interface LlhttpExports {
  readonly memory: WebAssembly.Memory;
  _initialize(): void;
  malloc(bytes: number): number;
  llhttp_alloc(type: number): number;
  llhttp_reset(parser: number): void;
  llhttp_free(parser: number): void;
  llhttp_execute(parser: number, at: number, length: number): number;
  llhttp_finish(parser: number): number;
  llhttp_errno_name(errno: number): number;
  llhttp_get_error_reason(parser: number): number;
  llhttp_get_error_pos(parser: number): number;
  llhttp_get_http_major(parser: number): number;
  llhttp_get_http_minor(parser: number): number;
  llhttp_get_method(parser: number): number;
  llhttp_method_name(method: number): number;
  llhttp_should_keep_alive(parser: number): number;
  [lenient: `llhttp_set_lenient_${string}`]: (parser: number, on: number) => void;
}

/** What llhttp tells; offsets are addresses in its memory. */
export interface LlhttpEvents {
  /** Requests alone. */
  onUrl(at: number, length: number): void;
  onStatus(at: number, length: number): void;
  onHeaderField(at: number, length: number): void;
  onHeaderValue(at: number, length: number): void;
  /** 1: the message has no body. */
  onHeadersComplete(status: number): number;
  onBody(at: number, length: number): void;
  /** {@linkcode PAUSE}: stop behind the message. */
  onMessageComplete(): number;
}

const NOTHING: LlhttpEvents = {
  onUrl(): void {},
  onStatus(): void {},
  onHeaderField(): void {},
  onHeaderValue(): void {},
  onHeadersComplete: (): number => 0,
  onBody(): void {},
  onMessageComplete: (): number => 0,
};

/** What a callback returns to stop llhttp. */
export const PAUSE = 21;

/** The bytes that {@linkcode Llhttp.execute} takes at once. */
export const MAX_INPUT_BYTES: number = 65_536;

/** What is parsed. */
export type LlhttpType = "request" | "response";

/** One llhttp parser. */
export class Llhttp {
  readonly #wasm: LlhttpExports;
  readonly #parser: number;
  readonly #input: number;
  /** llhttp's memory. */
  readonly memory: Uint8Array;
  /** Who is told. */
  events: LlhttpEvents = NOTHING;

  constructor(build: "llhttp-wasm" | "llhttp_simd-wasm" = "llhttp_simd-wasm", type: LlhttpType = "response") {
    const bytes: BufferSource = createRequire(`${process.cwd()}/package.json`)(
      `undici/lib/llhttp/${build}.js`,
    );
    const env = {
      wasm_on_message_begin: (): number => 0,
      wasm_on_url: (_: number, at: number, length: number): number => {
        this.events.onUrl(at, length);
        return 0;
      },
      wasm_on_status: (_: number, at: number, length: number): number => {
        this.events.onStatus(at, length);
        return 0;
      },
      wasm_on_header_field: (_: number, at: number, length: number): number => {
        this.events.onHeaderField(at, length);
        return 0;
      },
      wasm_on_header_value: (_: number, at: number, length: number): number => {
        this.events.onHeaderValue(at, length);
        return 0;
      },
      wasm_on_headers_complete: (_: number, status: number): number => this.events.onHeadersComplete(status),
      wasm_on_body: (_: number, at: number, length: number): number => {
        this.events.onBody(at, length);
        return 0;
      },
      wasm_on_message_complete: (): number => this.events.onMessageComplete(),
    };
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), { env });
    this.#wasm = instance.exports as unknown as LlhttpExports;
    this.#parser = this.#wasm.llhttp_alloc(type === "request" ? 1 : 2);
    this.#input = this.#wasm.malloc(MAX_INPUT_BYTES);
    this.memory = new Uint8Array(this.#wasm.memory.buffer);
  }

  /** Address of the first byte of what `execute` was given. */
  get inputAddress(): number {
    return this.#input;
  }

  /** Ready for a new connection; flags stay. */
  reset(): void {
    this.#wasm.llhttp_reset(this.#parser);
  }

  /** Sets one lenient flag: "headers", "chunked_length", "version"... */
  setLenient(name: string, on: boolean): void {
    this.#wasm[`llhttp_set_lenient_${name}`]!(this.#parser, on ? 1 : 0);
  }

  /** Parses; "OK", "PAUSED_UPGRADE" or the name of the error, "HPE_" cut off by llhttp. */
  execute(bytes: Uint8Array): string {
    return this.#name(this.run(bytes));
  }

  /** Parses; 0, or llhttp's errno. */
  run(bytes: Uint8Array): number {
    this.memory.set(bytes, this.#input);
    return this.#wasm.llhttp_execute(this.#parser, this.#input, bytes.length);
  }

  /** The peer closed. */
  finish(): string {
    return this.#name(this.#wasm.llhttp_finish(this.#parser));
  }

  /** Offset in the input at which it stopped with an error or a pause. */
  get errorOffset(): number {
    return this.#wasm.llhttp_get_error_pos(this.#parser) - this.#input;
  }

  /** The error in words. */
  get errorReason(): string {
    return this.#string(this.#wasm.llhttp_get_error_reason(this.#parser));
  }

  /** "1.1" of the head just read. */
  get version(): string {
    const { llhttp_get_http_major: major, llhttp_get_http_minor: minor } = this.#wasm;
    return `${major(this.#parser)}.${minor(this.#parser)}`;
  }

  /** The method of the request head just read. */
  get method(): string {
    return this.#string(this.#wasm.llhttp_method_name(this.#wasm.llhttp_get_method(this.#parser)));
  }

  /** llhttp's keep-alive verdict, inside onMessageComplete. */
  get shouldKeepAlive(): boolean {
    return this.#wasm.llhttp_should_keep_alive(this.#parser) === 1;
  }

  #name(errno: number): string {
    return this.#string(this.#wasm.llhttp_errno_name(errno)).replace(/^HPE_/, "");
  }

  #string(address: number): string {
    let text = "";
    for (let i = address; i !== 0 && this.memory[i] !== 0; i++) text += String.fromCharCode(this.memory[i]!);
    return text;
  }
}
