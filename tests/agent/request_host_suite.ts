/** RFC 9110 section 7.2: one Host, in whatever form the headers come and whatever the client adds to them. */
import type { AgentRequestInit } from "@holdfast/agent";
import * as assert from "uvu/assert";
import { suite } from "../harness/suite.ts";
import { fixture, ok } from "./memory_origin.ts";

const test = suite("Agent.request(): Host");

type HeadersForm = NonNullable<AgentRequestInit["headers"]>;

/** The same headers in every form there is; new ones at each call, for an iterable is read once. */
function formsOf(pairs: [string, string][]): Record<string, HeadersForm> {
  return {
    "an object": Object.fromEntries(pairs),
    pairs,
    "a flat array": pairs.flat(),
    Headers: new Headers(pairs),
    "a Map": new Map(pairs),
    "an iterable": pairs.values(),
  };
}

/** The Host lines of the head that `url` and `init` make. */
async function hostLines(url: string, init: AgentRequestInit): Promise<string[]> {
  const { agent, serve } = fixture();
  let lines: string[] = [];
  serve("a", (peer, head) => {
    lines = head.split("\r\n").filter((line) => /^host:/i.test(line));
    peer.send(ok());
  });
  await (await agent.request(url, init)).body.dump();
  agent.destroy();
  return lines.map((line) => line.toLowerCase());
}

for (const form of Object.keys(formsOf([]))) {
  test(`${form}: adds Host where there is none, also beside Authorization and Content-Type`, async () => {
    const headers = (): HeadersForm => formsOf([["x-a", "1"]])[form]!;
    assert.equal(await hostLines("http://a:8080/", { headers: headers() }), ["host: a:8080"]);
    const post: AgentRequestInit = { method: "POST", body: new URLSearchParams("a=b"), headers: headers() };
    assert.equal(await hostLines("http://user:secret@a:8080/", post), ["host: a:8080"]);
  });

  test(`${form}: sends the caller's Host in its place`, async () => {
    const headers = (): HeadersForm => formsOf([["host", "other"], ["x-a", "1"]])[form]!;
    assert.equal(await hostLines("http://a:8080/", { headers: headers() }), ["host: other"]);
    const post: AgentRequestInit = { method: "POST", body: new URLSearchParams("a=b"), headers: headers() };
    assert.equal(await hostLines("http://user:secret@a:8080/", post), ["host: other"]);
  });
}

test("no headers at all, and empty ones", async () => {
  assert.equal(await hostLines("http://a:8080/", {}), ["host: a:8080"]);
  for (const headers of Object.values(formsOf([]))) {
    assert.equal(await hostLines("http://a:8080/", { headers }), ["host: a:8080"]);
  }
});

test.run();
