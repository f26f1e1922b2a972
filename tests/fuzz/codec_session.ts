/** Makes messages, and puts each through our parser in several cuts and through llhttp. */

import { encodeLatin1 } from "../../src/agent/core/latin1.ts";
import { HeadTemplate } from "../../src/agent/core/head_template.ts";
import type { Leniency } from "../../src/agent/core/leniency.ts";
import { ALL_LENIENT } from "../../src/agent/core/leniency.ts";
import { readFixtures } from "../core/fixtures.ts";
import { parserLog, type RunOptions, show } from "../core/parser_log.ts";
import { compare, compareKeepAlive, LlhttpReader } from "./codec_compare.ts";

const METHODS = ["GET", "GET", "GET", "HEAD", "CONNECT", "POST"];
const TOKENS = [
  "\r\n",
  "\r",
  "\n",
  "\r\n\r\n",
  " ",
  "\t",
  "\0",
  ":",
  ";",
  ",",
  "=",
  '"',
  "\\",
  "\x7f",
  "\x80",
  "\xff",
  "\x0b",
  "\x0c",
  "\x85",
  "\xa0",
  "0",
  "1",
  "5",
  "A",
  "f",
  "g",
  "0\r\n\r\n",
  "HTTP/1.1 200 OK\r\n",
  "HTTP/1.0 200\r\n",
  "HTTP/1.1 100 Continue\r\n\r\n",
  "HTTP/1.1 101 Switching Protocols\r\n",
  "HTTP/1.1 204 No\r\n",
  "HTTP/1.1 304 No\r\n",
  "Content-Length: 5\r\n",
  "Content-Length: 0\r\n",
  "Transfer-Encoding: chunked\r\n",
  "Transfer-Encoding: gzip\r\n",
  "Transfer-Encoding: gzip, chunked\r\n",
  "chunked",
  "\xa0chunked",
  "chunked\xa0\r\n",
  "Transfer-Encoding: chunked\xa0\r\n",
  "Transfer-Encoding: gzip,\x85chunked\r\n",
  "Content-Length: 5\xa0\r\n",
  "Connection: close\xa0\r\n",
  "Connection: \xa0keep-alive\r\n",
  "Keep-Alive: timeout=5\xa0, max=\x85100\r\n",
  "Connection: close\r\n",
  "Connection: Keep-Alive\r\n",
  "Connection: x, keep-alive , y\r\n",
  "connection: a,Close\r\n",
  "Keep-Alive: timeout=5, max=100\r\n",
  "Connection: upgrade\r\nUpgrade: x\r\n",
  "X-A: b\r\n",
  "x:\r\n",
  " folded\r\n",
  "hello",
  "5\r\nhello\r\n",
  "5;a=b\r\nhello\r\n",
  '1;a="b\\c";d\r\nx\r\n',
];

/** A stream of pseudo-random numbers (mulberry32). */
export function randomOf(seed: number): (below: number) => number {
  let state = seed >>> 0;
  return (below) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) % below;
  };
}

/** One run of the fuzzer. */
export class FuzzSession {
  readonly #random: (below: number) => number;
  readonly #reader = new LlhttpReader();
  readonly #seeds: readonly string[];
  /** Messages so far. */
  steps = 0;
  /** Of them, those whose head ours accepted. */
  accepted = 0;
  /** Of them, those that were complete. */
  complete = 0;

  constructor(seed: number) {
    this.#random = randomOf(seed);
    this.#seeds = readFixtures().map(({ message }) => String.fromCharCode(...message));
  }

  /** Makes and judges one message; what is found wrong, or undefined. */
  step(): string | undefined {
    const message = encodeLatin1(this.#message());
    const options: RunOptions = {
      method: this.#pick(METHODS),
      eof: this.#random(4) === 0,
      limits: { leniency: this.#leniency() },
    };
    this.steps++;
    const whole = parserLog([message], options);
    if (/^(head|upgrade)/m.test(whole)) this.accepted++;
    if (/^complete$/m.test(whole)) this.complete++;
    const finding = this.#cutFinding(message, options, whole);
    if (finding !== undefined || options.limits!.leniency === ALL_LENIENT) return finding;
    const difference = compare(this.#reader, message, options, false);
    if (difference !== undefined || !/^complete$/m.test(whole)) return difference;
    return compareKeepAlive(this.#reader, message, options);
  }

  /** Reads variants of one message with a memory of those before; what it changed, or undefined. */
  templateStep(): string | undefined {
    const template = new HeadTemplate();
    const base = this.#message();
    const at = this.#random(base.length + 1);
    const options: RunOptions = { method: this.#pick(METHODS) };
    for (let i = 0; i < 8; i++) {
      // The guess learns a hole at `at`, and is then tried with whatever may stand there.
      const put = i < 2
        ? "x".repeat(i)
        : this.#random(2) === 0
        ? this.#pick(TOKENS)
        : String.fromCharCode(this.#random(256));
      const variant = base.slice(0, at) + put + base.slice(at + this.#random(3));
      const message = encodeLatin1(this.#random(8) === 0 ? this.#mutated(variant) : variant);
      const alone = parserLog([message], options);
      const after = parserLog([message], { ...options, template });
      if (after !== alone) {
        return `${show(String.fromCharCode(...message))}\nafter others:\n${after}\nalone:\n${alone}`;
      }
    }
    return undefined;
  }

  #cutFinding(message: Uint8Array, options: RunOptions, whole: string): string | undefined {
    const chunks: Uint8Array[] = [];
    for (let at = 0; at < message.length;) {
      const end = Math.min(message.length, at + 1 + this.#random(this.#random(3) === 0 ? 3 : 40));
      chunks.push(message.subarray(at, end));
      at = end;
    }
    const cut = parserLog(chunks, options);
    if (cut === whole) return undefined;
    const shown = chunks.map((chunk) => show(String.fromCharCode(...chunk))).join("\n");
    return `cut:\n${shown}\nsays:\n${cut}\nwhole:\n${whole}`;
  }

  #message(): string {
    let message = this.#random(3) === 0 ? this.#assembled() : this.#pick(this.#seeds);
    for (let i = this.#random(4); i > 0; i--) message = this.#mutated(message);
    return message.slice(0, 4096);
  }

  #assembled(): string {
    let message = "HTTP/1.1 200 OK\r\n";
    for (let i = this.#random(8); i > 0; i--) message += this.#pick(TOKENS);
    message += "\r\n";
    for (let i = this.#random(6); i > 0; i--) message += this.#pick(TOKENS);
    return message;
  }

  #mutated(message: string): string {
    const at = this.#random(message.length + 1);
    const end = Math.min(message.length, at + 1 + this.#random(12));
    switch (this.#random(6)) {
      case 0:
        return message.slice(0, at) + String.fromCharCode(this.#random(256)) + message.slice(at + 1);
      case 1:
        return message.slice(0, at) + this.#pick(TOKENS) + message.slice(at);
      case 2:
        return message.slice(0, at) + message.slice(end);
      case 3:
        return message.slice(0, end) + message.slice(at);
      case 4:
        return message.slice(0, at) + this.#pick(TOKENS) + message.slice(end);
      default: {
        const other = this.#pick(this.#seeds);
        return message.slice(0, at) + other.slice(this.#random(other.length + 1));
      }
    }
  }

  // Leniency is compared flag by flag where the flags are llhttp's own; all of them together only across cuts.
  #leniency(): Leniency {
    switch (this.#random(10)) {
      case 0:
        return ALL_LENIENT;
      case 1:
        return { chunkedLength: true };
      case 2:
        return { version: true };
      case 3:
        return { optionalCrlfAfterChunk: true };
      case 4:
        return { spacesAfterChunkSize: true };
      default:
        return {};
    }
  }

  #pick<T>(values: readonly T[]): T {
    return values[this.#random(values.length)]!;
  }
}
