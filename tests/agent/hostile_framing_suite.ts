/**
 * Responses of a hostile server, through all three faces: what cannot be trusted is an error, is not asked for again, and
 * its connection serves nobody else (RFC 9112 sections 2 to 9). The parser's own fixtures are in tests/core.
 */
import * as assert from "uvu/assert";
import type { Agent } from "@holdfast/agent";
import http from "@holdfast/agent/http";
import { suite } from "../harness/suite.ts";
import { fixture, ok, outcome } from "./memory_origin.ts";

const test = suite("hostile framing");

/** The body, or the code of whatever went wrong. */
type Face = (agent: Agent, url: string, method: string) => Promise<string>;

const codeOf = (error: unknown): string => (error as { code?: string }).code ?? String(error);

const FACES: Readonly<Record<string, Face>> = {
  request: (agent, url, method) =>
    agent.request(url, { method }).then(({ body }) => body.text()).catch(codeOf),
  fetch: (agent, url, method) =>
    agent.fetch(url, { method }).then((response) => response.text()).catch(codeOf),
  http: (agent, url, method) =>
    new Promise((resolve) => {
      let isAnswered = false;
      const request = http.request(url, { agent, method }, (response) => {
        isAnswered = true;
        let text = "";
        response.on("data", (chunk) => text += chunk);
        response.on("end", () => resolve(text));
        response.on("error", (error) => resolve(codeOf(error)));
      });
      request.on("error", (error) => resolve(codeOf(error)));
      request.on("close", () => isAnswered || resolve("close"));
      request.end();
    }),
};

const head = (...lines: string[]): string => ["HTTP/1.1 200 OK", ...lines, "", ""].join("\r\n");
const length = (value: string): string => head(`Content-Length: ${value}`) + "hello";
const coding = (value: string): string => head(`Transfer-Encoding: ${value}`) + "5\r\nhello\r\n0\r\n\r\n";
const chunks = (text: string): string => head("Transfer-Encoding: chunked") + text;
const field = (line: string): string => head(line, "Content-Length: 5") + "hello";
const line = (text: string): string => `${text}\r\nContent-Length: 5\r\n\r\nhello`;

/** Ends by a FIN, so that nothing here waits for more. */
const REFUSED: Readonly<Record<string, readonly string[]>> = {
  "lengths": [
    ...["5, 6", "+5", "-5", "0x5", "5;", "", "5_0", "5.0", "1e1", "5 5", "5a", "\x0c5", "\xa05"].map(length),
    ...["99999999999999999999", "18446744073709551621", "9007199254740993"].map(length),
    head("Content-Length: 5", "Content-Length: 6") + "hello",
    head("Content-Length: 5", "Transfer-Encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n",
    head("Transfer-Encoding: chunked", "Content-Length: 5") + "5\r\nhello\r\n0\r\n\r\n",
    head("Transfer-Encoding: identity", "Content-Length: 5") + "hello",
    head("Transfer-Encoding:", "Content-Length: 5") + "hello",
  ],
  "chunk sizes": [
    ...["+5", "-5", " 5", "5 ", "0x5", "FFFFFFFFFFFFFFFFF", "10000000000000005", "5 5", "5,", "g", "", ";x"]
      .map((size) => chunks(`${size}\r\nhello\r\n0\r\n\r\n`)),
    chunks(`5;${"a".repeat(20_000)}\r\nhello\r\n0\r\n\r\n`),
    chunks("5\nhello\r\n0\r\n\r\n"),
    chunks("5\rhello\r\n0\r\n\r\n"),
    chunks("5\r\nhelloX\r\n0\r\n\r\n"),
    chunks("5\r\nhello\n0\r\n\r\n"),
    chunks("5\r\nhello0\r\n\r\n"),
    chunks("5\r\nhello\r\n0\n\r\n"),
  ],
  "trailers": ["X: a\r\n b", "X", "X : a", "X: a\0b", "X: a\rb", ": a", `X: ${"a".repeat(20_000)}`]
    .map((trailer) => chunks(`5\r\nhello\r\n0\r\n${trailer}\r\n\r\n`)),
  "status lines": [
    ...[
      "HTTP/2.0 200 OK",
      "HTTP/1.10 200 OK",
      "http/1.1 200 OK",
      "ICY 200 OK",
      "HTTP/1.1 20 OK",
    ],
    ...[
      "HTTP/1.1 2000 OK",
      "HTTP/1.1 abc",
      "HTTP/1.1  200 OK",
      "HTTP/1.1 200 O\0K",
      "HTTP/1.1 200 O\rK",
      "hello",
    ],
    `HTTP/1.1 200 ${"a".repeat(20_000)}`,
  ].map(line),
  "fields": [
    ...["X: a\r\n b", "X: a\0b", "X\0: a", "X: a\rb", "X: a\nY: b", "X : a", ": a", "a b: c", "X", " X: a"]
      .map(field),
    field(`X: ${"a".repeat(17_000)}`),
    head(...Array<string>(2_100).fill("a:b"), "Content-Length: 5") + "hello",
  ],
  "interim responses": [
    "HTTP/1.1 102 P\r\n\r\n".repeat(150) + length("5"),
    "HTTP/1.1 102 P\r\nContent-Length: 5\r\n\r\nworld" + length("5"),
    "HTTP/1.1 102 P\r\n\r\n",
  ],
  "cuts": [
    "",
    ...[4, 12, 20, 37, 40].map((bytes) => length("5").slice(0, bytes)),
    ...[1, 2, 5, 8, 9, 10, 11, 12, 13].map((bytes) =>
      chunks("5\r\nhello\r\n0\r\n\r\n").slice(0, head("Transfer-Encoding: chunked").length + bytes)
    ),
  ],
};

/** Taken, and the connection is used no more. */
const TAKEN: readonly string[] = [
  length("5") + "X",
  length("5") + length("5"),
  coding("chunked") + "X",
  head("Connection: x, close", "Content-Length: 5") + "hello",
  "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
  "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
];

interface Seen {
  readonly first: string;
  readonly heads: number;
  readonly connections: number;
}

/** One request that is answered by `bytes`, then one whose answer is "fresh" on any connection but that one. */
async function exchange(face: Face, bytes: string, isEnded: boolean): Promise<Seen> {
  const at = fixture();
  let heads = 0;
  const listener = at.network.listen({ host: "a" }, async (peer) => {
    const isFirst = listener.accepted === 1;
    while (await peer.readUntil("\r\n\r\n") !== undefined) {
      heads++;
      if (!isFirst) peer.send(ok("fresh"));
      else if (heads > 1) peer.send(ok("the doubtful connection"));
      else {
        peer.send(Uint8Array.from(bytes, (character) => character.charCodeAt(0)));
        if (isEnded) peer.end();
      }
    }
    peer.end();
  });
  const first = String(await outcome(at.clock, face(at.agent, "http://a/", "GET")));
  const tried = heads;
  assert.is(
    await outcome(at.clock, face(at.agent, "http://a/", "GET")),
    "fresh",
    JSON.stringify([first, bytes.slice(0, 200)]),
  );
  at.agent.destroy();
  await at.clock.settle();
  return { first, heads: tried, connections: listener.accepted };
}

for (const [name, face] of Object.entries(FACES)) {
  for (const [kind, messages] of Object.entries(REFUSED)) {
    test(`${name}: ${kind} that cannot be trusted are errors, and end their connection`, async () => {
      for (const bytes of messages) {
        const { first, heads, connections } = await exchange(face, bytes, true);
        assert.match(first, /^(HPE_[A-Z_]+|ECONNRESET)$/, JSON.stringify(bytes.slice(0, 200)));
        assert.equal([heads, connections], [1, 2], JSON.stringify(bytes.slice(0, 200)));
      }
    });
  }

  test(`${name}: what is complete, on a connection that is not, is taken once`, async () => {
    for (const bytes of TAKEN) {
      const { first, heads, connections } = await exchange(face, bytes, false);
      // The http face tells of bytes behind a response on the response, as Node's does.
      if (name !== "http" || !first.startsWith("HPE_")) assert.is(first, "hello", JSON.stringify(bytes));
      assert.equal([heads, connections], [1, 2], JSON.stringify(bytes));
    }
  });
}

test.run();
