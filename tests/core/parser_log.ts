/** Runs a ResponseParser and writes what it says as lines, the same whatever the cuts. */

import { ProtocolError } from "../../src/agent/core/errors.ts";
import type { BodyFraming } from "../../src/agent/core/framing.ts";
import type { HeadTemplate } from "../../src/agent/core/head_template.ts";
import type { HeaderBlock } from "../../src/agent/core/headers.ts";
import { decodeLatin1 } from "../../src/agent/core/latin1.ts";
import {
  type ParserLimits,
  type ResponseHead,
  ResponseParser,
  type ResponseSink,
  type StartOptions,
} from "../../src/agent/core/response_parser.ts";

/** How to run. */
export interface RunOptions {
  readonly method?: string;
  readonly limits?: Partial<ParserLimits>;
  readonly start?: StartOptions;
  /** What the parser remembers of earlier heads. Default: nothing. */
  readonly template?: HeadTemplate;
  /** Call finish() behind the last byte. */
  readonly eof?: boolean;
}

/** JSON, with what is not printable ASCII as \xHH. */
export function show(text: string): string {
  return JSON.stringify(text).replace(
    /[\x7f-\xff]|\\u00../g,
    (found) => `\\x${(found.length > 1 ? found.slice(4) : found.charCodeAt(0).toString(16))}`,
  );
}

function fields(kind: string, block: HeaderBlock): string[] {
  const lines: string[] = [];
  for (const [name, value] of block) lines.push(`${kind} ${name}: ${show(value)}`);
  return lines;
}

function headLines(kind: string, head: ResponseHead): string[] {
  const version = `${head.httpVersionMajor}.${head.httpVersionMinor}`;
  return [
    `${kind} ${version} ${head.status} ${show(head.statusText)}`,
    ...fields("field", head.headers),
  ];
}

/** A sink that writes the log; body bytes of neighbouring calls are one line. */
export class LogSink implements ResponseSink {
  readonly lines: string[] = [];
  #body = "";
  isComplete = false;
  /** The final response's head. */
  head: ResponseHead | undefined;
  framing: BodyFraming | undefined;

  onInformational(head: ResponseHead): void {
    this.lines.push(...headLines("informational", head));
  }
  onHead(head: ResponseHead, framing: BodyFraming): void {
    this.head = head;
    this.framing = framing;
    this.lines.push(...headLines("head", head));
    this.lines.push(
      framing.kind === "length" ? `framing length ${framing.length}` : `framing ${framing.kind}`,
    );
  }
  onBody(chunk: Uint8Array): boolean {
    this.#body += decodeLatin1(chunk, 0, chunk.length);
    return true;
  }
  onComplete(trailers: HeaderBlock | undefined): void {
    this.#flush();
    if (trailers !== undefined) this.lines.push(...fields("trailer", trailers));
    this.lines.push("complete");
    this.isComplete = true;
  }
  onUpgrade(head: ResponseHead): void {
    this.lines.push(...headLines("upgrade", head));
    this.isComplete = true;
  }
  /** Writes what is still held. */
  finish(): string[] {
    this.#flush();
    return this.lines;
  }
  #flush(): void {
    if (this.#body !== "") this.lines.push(`body ${show(this.#body)}`);
    this.#body = "";
  }
}

/** The log of the calls for `chunks`, given one after the other. */
export function parserLog(chunks: readonly Uint8Array[], options: RunOptions = {}): string {
  const parser = new ResponseParser(options.limits, options.template);
  const sink = new LogSink();
  let surplus = "";
  let error = "";
  try {
    parser.start(options.method ?? "GET", options.start);
    for (const chunk of chunks) {
      // A copy, scribbled over afterwards: a parser that keeps lent bytes shows it.
      const lent = new Uint8Array(chunk);
      const consumed = parser.parse(lent, sink);
      surplus += decodeLatin1(lent, consumed, lent.length);
      lent.fill(0x21);
    }
    if (options.eof === true) parser.finish(sink);
  } catch (fault) {
    if (!(fault instanceof ProtocolError)) throw fault;
    error = `error ${fault.code} ${fault.reason}`;
  }
  const lines = sink.finish();
  if (surplus !== "") lines.push(`surplus ${show(surplus)}`);
  if (error !== "") lines.push(error);
  else if (!sink.isComplete) lines.push(`state ${parser.state}`);
  return lines.join("\n");
}
