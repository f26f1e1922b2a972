/**
 * ns of CPU time per response head: ours against llhttp's WASM build, in one run.
 *
 * A head of 12 fields and 462 bytes whose request id and date differ each time, so that no cache of whole heads can
 * help. "unread": the application looks at no header; "read": at all of them, as rawHeaders. "shapes": six kinds of
 * heads in turn, of fewer fields each; "unlike": twelve, of other orders, more than the parser remembers.
 * Candidates take turns, A B A B, after 1.5 s of warm-up each; what counts is the median of the ratios of neighbours.
 *
 * llhttp is shown twice. By the best glue that we know, which does no less than it must and no more: its WASM calls
 * for each name and each value, as it has to be told where they lie, and the glue notes two offsets in an array that
 * it uses again; at the head's end it decodes the head once, for the next bytes are put in the same memory, and cuts
 * strings out of that one only for who reads them. And as its users have it, undici and Node's own binding among them:
 * a string, or a copy of the bytes, for each name and value as it comes. Both sides keep what a later reading of the
 * headers needs, and neither keeps the bytes that it was given.
 *
 * llhttp's memory grows when it is set up, and V8 checks each access to a typed array from then on: 20 to 30 ns a head
 * of ours on Node 20 that a process without it does not pay.
 *
 * Measured on a busy machine (unread, unread as used, read, shapes, unlike): Node 20.20 2.8, 7.3, 2.8, 2.2, 0.7;
 * Node 26.10 3.1, 8.4, 3.1, 2.7, 0.9; Deno 2.9 4.2, 10, 4.0, 3.4, 1.0; Bun 1.4 4.7, 9.4, 3.5, 4.1, 1.0.
 *
 * deno run -A bench/parser.ts | bun bench/parser.ts | node npm/esm/bench/parser.js (after npm test)
 */

import process from "node:process";
import { decodeLatin1, encodeLatin1 } from "../src/agent/core/latin1.ts";
import { type ResponseHead, ResponseParser, type ResponseSink } from "../src/agent/core/response_parser.ts";
import { Llhttp, type LlhttpEvents } from "../tests/fuzz/codec_llhttp.ts";

const HEADS = 512;
const WARM_UP_MS = 1_500;
const TURN_MS = 100;
const TURNS = 21;

function head(index: number, rotation: number, dropped: number): Uint8Array {
  const id = (0x9e3779b1 * (index + 1) >>> 0).toString(16).padStart(8, "0");
  const fields = [
    `Date: Fri, 20 Nov 2026 05:${String(index % 60).padStart(2, "0")}:12 GMT`,
    "Content-Type: application/json; charset=utf-8",
    "Content-Length: 0",
    "Connection: keep-alive",
    "Keep-Alive: timeout=72",
    "Server: nginx/1.27.3",
    `X-Request-Id: ${id}-${id.slice(0, 4)}-4f1c-8a2b-${id}${id.slice(4)}`,
    "Cache-Control: no-cache, no-store, must-revalidate",
    'ETag: W/"5f3-qvTbzkKZUwlD0lVDeyGHPw"',
    "Vary: Accept-Encoding, Origin",
    "Strict-Transport-Security: max-age=31536000; includeSubDomains",
    "X-Content-Type-Options: nosniff",
  ];
  fields.push(...fields.splice(0, rotation));
  fields.length -= dropped;
  return encodeLatin1(`HTTP/1.1 200 OK\r\n${fields.join("\r\n")}\r\n\r\n`);
}

const alike = Array.from({ length: HEADS }, (_, index) => head(index, 0, 0));
const shapes = Array.from({ length: HEADS }, (_, index) => head(index, 0, index % 6));
const unlike = Array.from({ length: HEADS }, (_, index) => head(index, index % 12, 0));

// Keeps the engines from dropping what nobody looks at.
let consumed = 0;

interface Candidate {
  readonly name: string;
  readonly parse: (bytes: Uint8Array) => void;
}

function ours(isRead: boolean): Candidate {
  const parser = new ResponseParser();
  const sink: ResponseSink = {
    onInformational(): void {},
    onHead(head: ResponseHead): void {
      consumed += head.status;
      if (isRead) consumed += head.headers.rawHeaders.length;
    },
    onBody: (): boolean => true,
    onComplete(): void {},
    onUpgrade(): void {},
  };
  return {
    name: `holdfast, ${isRead ? "read" : "unread"}`,
    parse(bytes): void {
      parser.start("GET");
      parser.parse(bytes, sink);
    },
  };
}

// llhttp as its users have it, Node's own binding among them: a string for each name and value as it comes.
function theirsAsUsed(): Candidate {
  const llhttp = new Llhttp();
  let raw: string[] = [];
  const push = (at: number, length: number): void => {
    raw.push(decodeLatin1(llhttp.memory, at, at + length));
  };
  llhttp.events = {
    onUrl(): void {},
    onStatus(at, length): void {
      consumed += decodeLatin1(llhttp.memory, at, at + length).length;
    },
    onHeaderField: push,
    onHeaderValue: push,
    onHeadersComplete(status): number {
      consumed += status + raw.length;
      raw = [];
      return 0;
    },
    onBody(): void {},
    onMessageComplete: (): number => 0,
  };
  return {
    name: "llhttp,   a string a field",
    parse(bytes): void {
      if (llhttp.run(bytes) !== 0) throw new Error(llhttp.errorReason);
    },
  };
}

// The best use of llhttp that we know: offsets while it runs, one decoding, slices of that one string.
function theirs(isRead: boolean): Candidate {
  const llhttp = new Llhttp();
  const offsets: number[] = [];
  let count = 0;
  let end = 0;
  let reason = 0;
  let raw: string[] = [];
  const base = llhttp.inputAddress;
  const events: LlhttpEvents = {
    onUrl(): void {},
    onStatus(at, length): void {
      reason = at - base;
      offsets[0] = reason + length;
      count = 1;
    },
    onHeaderField(at, length): void {
      offsets[count++] = at - base;
      offsets[count++] = at - base + length;
    },
    onHeaderValue(at, length): void {
      offsets[count++] = at - base;
      end = offsets[count++] = at - base + length;
    },
    onHeadersComplete(status): number {
      consumed += status;
      const text = decodeLatin1(llhttp.memory, base, base + end);
      consumed += text.slice(reason, offsets[0]).length;
      if (!isRead) return 0;
      raw = [];
      for (let i = 1; i < count; i += 2) raw.push(text.slice(offsets[i]!, offsets[i + 1]!));
      consumed += raw.length;
      return 0;
    },
    onBody(): void {},
    onMessageComplete: (): number => 0,
  };
  llhttp.events = events;
  return {
    name: `llhttp,   ${isRead ? "read" : "unread"}`,
    parse(bytes): void {
      if (llhttp.run(bytes) !== 0) throw new Error(llhttp.errorReason);
    },
  };
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

function turn(candidate: Candidate, heads: readonly Uint8Array[], forMs: number): number {
  const begin = cpuMs();
  let parsed = 0;
  let now = begin;
  while (now - begin < forMs) {
    for (const bytes of heads) candidate.parse(bytes);
    parsed += HEADS;
    now = cpuMs();
  }
  return (now - begin) * 1e6 / parsed;
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1]!;
}

function compare(a: Candidate, b: Candidate, heads = alike): void {
  turn(a, heads, WARM_UP_MS);
  turn(b, heads, WARM_UP_MS);
  const ofA: number[] = [];
  const ofB: number[] = [];
  const ratios: number[] = [];
  for (let i = 0; i < TURNS; i++) {
    const nsA = turn(a, heads, TURN_MS);
    const nsB = turn(b, heads, TURN_MS);
    ofA.push(nsA);
    ofB.push(nsB);
    ratios.push(nsB / nsA);
  }
  console.log(`${a.name}: ${median(ofA).toFixed(0)} ns`);
  console.log(`${b.name}: ${median(ofB).toFixed(0)} ns`);
  console.log(`ratio: ${median(ratios).toFixed(2)}`);
}

console.log(`${alike[0]!.length} bytes a head`);
compare(ours(false), theirs(false));
compare(ours(false), theirsAsUsed());
compare(ours(true), theirs(true));
console.log("shapes:");
compare(ours(false), theirs(false), shapes);
console.log("unlike:");
compare(ours(false), theirs(false), unlike);
if (consumed === 0) throw new Error("Nothing was parsed");
