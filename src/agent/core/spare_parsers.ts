/**
 * Parsers that no connection uses right now. A parser with what it remembers of the last head is half of what an idle
 * connection would hold; so a connection has one only from the first byte of a response to its last. Owns the parsers in between;
 * must not know who uses them.
 *
 * Strategy: one shelf for all. What an origin's heads look like, by which they are read faster, is the origin's and goes with its
 * last connection: ten thousand origins keep no parser each, and whoever is next finds one that is still in the processor's cache.
 *
 * @module
 */

import { HeadTemplate } from "./head_template.ts";
import { ResponseParser } from "./response_parser.ts";

/** Parsers on the shelf: more are only of use to a burst, and made again in a microsecond. */
const MAX_SPARE = 64;

const spare: ResponseParser[] = [];

/** For the first head of an origin: a guess is as large as half of what else is kept of one, and many are asked once. */
const NO_HEADS = new HeadTemplate(0);

/** The parsers of one origin. */
export class SpareParsers {
  #connections = 0;
  #heads: HeadTemplate | undefined;
  #isFirst = true;

  /** What the origin's heads look like: for a parser with limits of its own. */
  get heads(): HeadTemplate {
    return this.#heads ??= new HeadTemplate();
  }

  /** One more connection may take from here. */
  enter(): void {
    this.#connections++;
  }

  /** One less: with the last one it is forgotten what the heads look like. */
  leave(): void {
    if (--this.#connections > 0) return;
    this.#heads = undefined;
    this.#isFirst = true;
  }

  /** A parser with the limits that parsers have by default, at rest. */
  take(): ResponseParser {
    const heads = this.#isFirst ? NO_HEADS : this.heads;
    this.#isFirst = false;
    const parser = spare.pop();
    if (parser === undefined) return new ResponseParser(undefined, heads);
    parser.expect(heads);
    return parser;
  }

  /** Takes one back, from whoever took it and will not use it again: never inside its `parse`. */
  giveBack(parser: ResponseParser): void {
    if (parser.state === "idle" && spare.length < MAX_SPARE) spare.push(parser);
  }
}
