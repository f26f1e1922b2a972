/**
 * Reads the Markdown fixtures of the parser.
 *
 * A fixture is a `##` heading, an optional line of options in backticks, the message in an `http` fence and the
 * expected log in a `log` fence. In the message each line end is CRLF, except behind the last line; a backslash at a
 * line's end, and at the message's end, only takes the line end away, `\r`, `\n`, `\t`, `\0`, `\\` and `\xHH` are what they are in JavaScript.
 */

import { readdirSync, readFileSync } from "node:fs";
import { ALL_LENIENT } from "../../src/agent/core/leniency.ts";
import type { ParserLimits } from "../../src/agent/core/response_parser.ts";
import type { Leniency } from "../../src/agent/core/leniency.ts";
import { encodeLatin1 } from "../../src/agent/core/latin1.ts";
import type { RunOptions } from "./parser_log.ts";

/** One case. */
export interface Fixture {
  /** File and heading. */
  readonly name: string;
  readonly options: RunOptions;
  /** Named where llhttp is known to judge otherwise: why. */
  readonly differs: string | undefined;
  readonly message: Uint8Array;
  readonly log: string;
}

const FOLDER = "tests/core/fixtures";

/** Every fixture there is, from the root of the project. */
export function readFixtures(): Fixture[] {
  return readdirSync(FOLDER).filter((file) => file.endsWith(".md")).sort()
    .flatMap((file) => parseFile(file, readFileSync(`${FOLDER}/${file}`, "utf8")));
}

function parseFile(file: string, text: string): Fixture[] {
  return text.split(/^## /m).slice(1).map((section) => parseSection(file, section));
}

function parseSection(file: string, section: string): Fixture {
  const title = section.slice(0, section.indexOf("\n")).trim();
  const name = `${file}: ${title}`;
  const message = /^```http\n([^]*?)\n?^```$/m.exec(section);
  if (message === null) throw new Error(`No message in fixture "${name}"`);
  const log = /^```log\n([^]*?)\n?^```$/m.exec(section);
  const words = [...section.slice(0, message.index).matchAll(/`([^`]+)`/g)].map((match) => match[1]!);
  const differs = words.find((word) => word.startsWith("differs "))?.slice("differs ".length);
  const options = parseOptions(words.filter((word) => !word.startsWith("differs ")), name);
  return { name, options, differs, message: encodeLatin1(unescape(message[1]!)), log: log?.[1] ?? "" };
}

function parseOptions(words: readonly string[], name: string): RunOptions {
  const limits: { -readonly [K in keyof ParserLimits]?: ParserLimits[K] } = {};
  let leniency: Leniency = {};
  let options: RunOptions = {};
  for (const word of words) {
    const [kind, key, value] = word.split(" ");
    if (kind === "eof") options = { ...options, eof: true };
    else if (kind === "method") options = { ...options, method: key! };
    else if (kind === "any-status-connects") options = { ...options, start: { anyStatusConnects: true } };
    else if (kind === "limit") limits[key as "maxHeaderBytes"] = Number(value);
    else if (kind === "lenient") leniency = key === "all" ? ALL_LENIENT : { ...leniency, [key!]: true };
    else throw new Error(`Unknown option "${word}" in fixture "${name}"`);
  }
  return { ...options, limits: { ...limits, leniency } };
}

const ESCAPES: Readonly<Record<string, string>> = { r: "\r", n: "\n", t: "\t", 0: "\0", "\\": "\\" };

function unescape(text: string): string {
  return text.replaceAll(/\\(?:\n|$)/g, "").replaceAll("\n", "\r\n")
    .replace(/\\(?:x([0-9a-f]{2})|(.))/gi, (all, hex: string | undefined, letter: string | undefined) => {
      if (hex !== undefined) return String.fromCharCode(parseInt(hex, 16));
      return ESCAPES[letter!] ?? all;
    });
}
