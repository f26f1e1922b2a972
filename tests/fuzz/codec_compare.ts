/**
 * The same bytes through our parser and through llhttp: what does each of them see?
 *
 * Where they may differ is a closed list, each with its reason; everything else is a finding.
 */

import { decodeLatin1 } from "../../src/agent/core/latin1.ts";
import type { ProtocolError } from "../../src/agent/core/errors.ts";
import type { Leniency } from "../../src/agent/core/leniency.ts";
import { keepAliveVerdict } from "../../src/agent/core/keep_alive.ts";
import { ResponseParser } from "../../src/agent/core/response_parser.ts";
import { LogSink, parserLog, type RunOptions, show } from "../core/parser_log.ts";
import { Llhttp, type LlhttpEvents, PAUSE } from "./codec_llhttp.ts";

const LENIENT_FLAGS: Readonly<Record<keyof Leniency, string | undefined>> = {
  headers: "headers",
  headerValueRelaxed: undefined,
  chunkedLength: "chunked_length",
  version: "version",
  optionalLfAfterCr: "optional_lf_after_cr",
  optionalCrBeforeLf: "optional_cr_before_lf",
  optionalCrlfAfterChunk: "optional_crlf_after_chunk",
  spacesAfterChunkSize: "spaces_after_chunk_size",
};

/** Reads one response by llhttp and writes the log that parserLog would. */
export class LlhttpReader {
  readonly #llhttp = new Llhttp("llhttp-wasm");
  /** Of the last message that was complete: may the connection go on, in llhttp's eyes? */
  keepsAlive = false;
  /** Where llhttp stopped in the last message: with a fault, or behind it. */
  end = 0;

  log(message: Uint8Array, options: RunOptions): string {
    const llhttp = this.#llhttp;
    const run = new Run(llhttp, options.method ?? "GET");
    llhttp.reset();
    for (const [ours, theirs] of Object.entries(LENIENT_FLAGS)) {
      if (theirs !== undefined) {
        llhttp.setLenient(theirs, options.limits?.leniency?.[ours as keyof Leniency] === true);
      }
    }
    // Go on behind an interim response that says close, as Node's client does not need to know.
    llhttp.setLenient("keep_alive", true);
    llhttp.events = run;
    let outcome = llhttp.execute(message);
    const end = outcome === "OK" ? message.length : llhttp.errorOffset;
    this.end = end;
    let reason = outcome === "OK" ? "" : llhttp.errorReason;
    if (outcome === "OK" && options.eof === true && !run.isComplete) {
      outcome = llhttp.finish();
      reason = llhttp.errorReason;
    }
    this.keepsAlive = run.keepsAlive;
    return run.finish(outcome, reason, decodeLatin1(message, end, message.length));
  }
}

class Run implements LlhttpEvents {
  readonly #llhttp: Llhttp;
  readonly #method: string;
  readonly #lines: string[] = [];
  #reason = "";
  #pairs: string[] = [];
  #wasValue = true;
  #status = 0;
  #isFinal = false;
  #body = "";
  isComplete = false;
  keepsAlive = false;

  constructor(llhttp: Llhttp, method: string) {
    this.#llhttp = llhttp;
    this.#method = method;
  }

  onUrl(): void {}

  onStatus(at: number, length: number): void {
    this.#reason += this.#text(at, length);
  }

  onHeaderField(at: number, length: number): void {
    if (this.#wasValue) this.#pairs.push("", "");
    this.#wasValue = false;
    this.#pairs[this.#pairs.length - 2] += this.#text(at, length);
  }

  onHeaderValue(at: number, length: number): void {
    this.#wasValue = true;
    this.#pairs[this.#pairs.length - 1] += this.#text(at, length);
  }

  onHeadersComplete(status: number): number {
    this.#status = status;
    const connects = this.#method === "CONNECT" && status >= 200 && status < 300;
    this.#isFinal = status >= 200 || status === 101;
    const kind = status === 101 || connects ? "upgrade" : this.#isFinal ? "head" : "informational";
    this.#lines.push(`${kind} ${this.#llhttp.version} ${status} ${show(this.#reason)}`);
    this.#flushFields("field");
    this.#reason = "";
    if (kind === "upgrade") this.isComplete = true;
    if (connects) return 2;
    return this.#method === "HEAD" ? 1 : 0;
  }

  onBody(at: number, length: number): void {
    this.#body += this.#text(at, length);
  }

  onMessageComplete(): number {
    if (!this.#isFinal) return 0;
    if (!this.isComplete) {
      this.#flushBody();
      this.#flushFields("trailer");
      this.#lines.push("complete");
      this.isComplete = true;
      this.keepsAlive = this.#llhttp.shouldKeepAlive;
    }
    return this.#status === 101 ? 0 : PAUSE;
  }

  finish(outcome: string, reason: string, rest: string): string {
    this.#flushBody();
    if (this.isComplete) {
      if (rest !== "") this.#lines.push(`surplus ${show(rest)}`);
    } else if (outcome === "OK") this.#lines.push("state");
    else this.#lines.push(`error HPE_${outcome} ${reason}`);
    return this.#lines.join("\n");
  }

  #flushFields(kind: string): void {
    for (let i = 0; i < this.#pairs.length; i += 2) {
      this.#lines.push(`${kind} ${this.#pairs[i]}: ${show(this.#pairs[i + 1]!.replace(/[ \t]+$/, ""))}`);
    }
    this.#pairs = [];
    this.#wasValue = true;
  }

  #flushBody(): void {
    if (this.#body !== "") this.#lines.push(`body ${show(this.#body)}`);
    this.#body = "";
  }

  #text(at: number, length: number): string {
    return decodeLatin1(this.#llhttp.memory, at, at + length);
  }
}

/** A Transfer-Encoding that ends in an empty element or in a tab. */
const ODD_CODING = /transfer-encoding:[^\r\n]*[,\t][ \t]*\r\n/i;

/** A Connection with a tab, which llhttp does not take off the end of an option: neither close nor keep-alive to it. */
const TABBED_OPTION = /\r\nconnection:[^\r\n]*\t/i;

/** Reasons of ours to close where llhttp would go on. */
const CLOSES_MORE: ReadonlySet<string | undefined> = new Set([
  "hint-expired",
  "hint-max",
  "http-1.0-transfer-encoding",
  "http-version",
  "two-framings",
]);

/**
 * What is wrong with our verdict on the connection after `message`, which both found complete; undefined: nothing.
 * Ours may close more often, for a reason; it never goes on where llhttp would not.
 */
export function compareKeepAlive(
  reader: LlhttpReader,
  message: Uint8Array,
  options: RunOptions,
): string | undefined {
  const sink = new LogSink();
  const parser = new ResponseParser(options.limits);
  parser.start(options.method ?? "GET");
  parser.parse(message, sink);
  if (sink.head === undefined || sink.framing === undefined || sink.framing.kind === "close") {
    return undefined;
  }
  if (!/^complete$/m.test(reader.log(message, options))) return undefined;
  const verdict = keepAliveVerdict({
    head: sink.head,
    framing: sink.framing,
    connectionClose: false,
    bufferMs: 0,
  });
  const text = decodeLatin1(message, 0, message.length);
  if (verdict.reusable === reader.keepsAlive || CLOSES_MORE.has(verdict.reason)) return undefined;
  // llhttp takes Proxy-Connection for Connection, and reads to the close behind an empty element of Transfer-Encoding.
  if (/proxy-connection/i.test(text) || ODD_CODING.test(text) || TABBED_OPTION.test(text)) return undefined;
  // To it keep-alive outdoes close in HTTP/1.0; RFC 9112 section 9.3 asks for close first.
  if (verdict.reason === "response-close" && sink.head.httpVersionMinor === 0) return undefined;
  // It heeds Connection in trailers, where RFC 9110 section 6.5.1 lets none stand.
  if (sink.lines.some((line) => /^trailer connection:/i.test(line))) return undefined;
  return `keep-alive of ${show(text)}\nours: ${JSON.stringify(verdict)}\nllhttp: ${reader.keepsAlive}`;
}

/** Our log, without what llhttp does not tell. */
function comparable(log: string): string[] {
  return log.split("\n").filter((line) => !line.startsWith("framing "))
    .map((line) => line.startsWith("state") ? "state" : line);
}

/** Offset at which ours stopped with a fault in a message that has one. */
function stopOf(message: Uint8Array, options: RunOptions): number {
  const parser = new ResponseParser(options.limits);
  parser.start(options.method ?? "GET");
  try {
    return parser.parse(message, new LogSink());
  } catch (error) {
    return (error as ProtocolError).bytesParsed;
  }
}

/** What an error line is compared by; the trailers of a faulty section are not told by us. */
function judged(lines: readonly string[], withCode: boolean): string {
  const last = lines[lines.length - 1] ?? "";
  if (!last.startsWith("error")) return lines.join("\n");
  const kept = lines.filter((line) => line.startsWith("body ") || line.startsWith("head "));
  return [...kept, withCode ? last : "error"].join("\n");
}

/**
 * Both logs where they differ and no known difference explains it; undefined: they agree. `withCode`: the error's
 * code, its words and the offset at which the parser stopped count too (of a message with one fault).
 */
export function compare(
  reader: LlhttpReader,
  message: Uint8Array,
  options: RunOptions,
  withCode: boolean,
): string | undefined {
  const ours = parserLog([message], options);
  const theirs = reader.log(message, options);
  let a = judged(comparable(ours), withCode);
  let b = judged(theirs.split("\n"), withCode);
  if (withCode && b.includes("error") && !b.includes("HPE_INVALID_EOF_STATE")) {
    a += ` at ${stopOf(message, options)}`;
    b += ` at ${reader.end}`;
  }
  if (a === b || knownDifference(ours, theirs, decodeLatin1(message, 0, message.length)) !== undefined) {
    return undefined;
  }
  return `message:\n${show(decodeLatin1(message, 0, message.length))}\nours:\n${ours}\nllhttp:\n${theirs}`;
}

/** A rule of the closed list: true where it explains the difference. */
type Rule = (ours: string, theirs: string, message: string) => boolean;

const failsWith = (...reasons: string[]): Rule => (ours) =>
  reasons.some((reason) => new RegExp(`^error \\S+ ${reason}`, "m").test(ours));

const DIFFERENCES: ReadonlyMap<string, Rule> = new Map<string, Rule>([
  [
    "llhttp also reads ICE and RTSP",
    (ours, _, message) => failsWith("Expected HTTP/")(ours, _, message) && /^[\r\n]*[RI]/m.test(message),
  ],
  [
    "RFC 9110 section 15: no status is below 100",
    (ours, _, message) =>
      failsWith("Invalid status code")(ours, _, message) && /HTTP\/\d\.\d 0/.test(message),
  ],
  [
    "RFC 9112 section 2.3: a status line is of HTTP/1",
    (ours, _, message) => failsWith("Invalid HTTP version")(ours, _, message) && /HTTP\/2\.0 /.test(message),
  ],
  ["RFC 9112 section 4: a reason has no controls", failsWith("Invalid character in response status")],
  ["RFC 9112 section 7.1: chunked has no parameters", failsWith("Parameter on the chunked coding")],
  ["Numbers are exact up to 2^53 - 1", failsWith("Content-Length overflow", "Chunk size overflow")],
  [
    "RFC 9110 section 6.5.1: framing does not belong into trailers",
    (ours) =>
      /^framing chunked$[^]*^error \S+ (Transfer-Encoding can't be present in trailers|Content-Length can't be present)/m
        .test(ours),
  ],
  [
    "llhttp forgets an empty Transfer-Encoding",
    (_ours, _theirs, message) =>
      /transfer-encoding:[ \t]*\r\n/i.test(message) && /content-length/i.test(message),
  ],
  [
    "The llhttp inside undici takes CR CR for a line end behind the status line",
    (ours, _, message) => failsWith("Expected LF after CR")(ours, _, message) && message.includes("\r\r"),
  ],
  [
    "llhttp lets CR alone stand behind chunk data under optional_crlf_after_chunk",
    (ours, _, message) =>
      failsWith("Expected LF after chunk data")(ours, _, message) && /\r(?!\n)/.test(message),
  ],
  [
    "RFC 9110 section 5.6.4: no DEL in a quoted string",
    (ours, _, message) =>
      failsWith("Invalid character in chunk extensions")(ours, _, message) && /"[^\r\n]*\x7f/.test(message),
  ],
  [
    "llhttp takes an end between two messages",
    (ours, theirs) => /^error \S+ Invalid EOF state$/m.test(ours) && theirs.endsWith("state"),
  ],
  ["RFC 9112 section 6.3: no 1xx has a body", (ours) => /^informational \S+ 1(0[4-9]|[1-9]\d) /m.test(ours)],
  [
    "RFC 9110 section 5.6.1: empty elements and whitespace do not count",
    (ours, _, message) =>
      /^framing chunked$/m.test(ours) &&
      ODD_CODING.test(message),
  ],
  [
    "The llhttp inside undici refuses a tab behind Content-Length",
    (_, theirs, message) =>
      /INVALID_CONTENT_LENGTH/.test(theirs) && /content-length:[ \t]*\d+ *\t/i.test(message),
  ],
  [
    "Ours judges framing at the end of the head",
    (ours, theirs) =>
      /^(state (head|trailers)|error \S+ (?!.*Content-Length).*)$/m.test(ours) &&
      /(CONTENT_LENGTH|TRANSFER_ENCODING)/.test(theirs),
  ],
]);

/** Why ours and theirs may differ on this message; undefined: they may not. */
export function knownDifference(ours: string, theirs: string, message: string): string | undefined {
  for (const [reason, explains] of DIFFERENCES) {
    if (explains(ours, theirs, message)) return reason;
  }
  return undefined;
}
