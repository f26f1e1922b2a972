/**
 * Parsers that no connection uses right now. A parser with what it remembers of the last head is half of what an idle
 * connection would hold; so a connection has one only from the first byte of a response to its last.
 *
 * One shelf for each origin, because a parser reads a head that resembles earlier ones faster; what those looked like is remembered once
 * for all its parsers. It is empty where the origin has no connection.
 *
 * @module
 */

import { HeadTemplate } from "./head_template.ts";
import { ResponseParser } from "./response_parser.ts";

/** Parsers on one shelf: more are only of use to a burst, and made again in a microsecond. */
const MAX_SPARE = 16;

/** See the file's comment. */
export class SpareParsers {
  #spare: ResponseParser[] = [];
  #connections = 0;
  #heads = new HeadTemplate();

  /** What the origin's heads look like: for a parser with limits of its own. */
  get heads(): HeadTemplate {
    return this.#heads;
  }

  /** One more connection may take from here. */
  enter(): void {
    this.#connections++;
  }

  /** One less: with the last one all parsers go. */
  leave(): void {
    if (--this.#connections > 0) return;
    this.#spare = [];
    this.#heads = new HeadTemplate();
  }

  /** A parser with the limits that parsers have by default, at rest. */
  take(): ResponseParser {
    return this.#spare.pop() ?? new ResponseParser(undefined, this.#heads);
  }

  /** Takes one back, from whoever took it and will not use it again: never inside its `parse`. */
  giveBack(parser: ResponseParser): void {
    if (this.#connections === 0 || this.#spare.length === MAX_SPARE) return;
    if (parser.state === "idle") this.#spare.push(parser);
  }
}
