/** fetch by the rules of the Fetch Standard, over the memory network. */
import * as assert from "uvu/assert";
import zlib from "node:zlib";
import { Readable } from "node:stream";
import { suite } from "../harness/suite.ts";
import { Agent, createFetch, type FetchInit, TimeoutError } from "@holdfast/agent";
import { failure, field, origin } from "./fetch_origin.ts";
import { fixture, ok, outcome } from "./memory_origin.ts";

const test = suite("fetch");

test("gives the runtime's own Response", async () => {
  const at = fixture();
  origin(
    at,
    () => ok('{"a":1}', "X-A: 1", "x-a: 2", "Set-Cookie: c=1", "Set-Cookie: d=2", "Content-Type: x/y"),
  );
  const response = await at.agent.fetch("http://a/path?q#fragment");
  assert.instance(response, Response);
  assert.instance(response.headers, Headers);
  const { status, statusText, ok: isOk, url, redirected, type } = response;
  assert.equal([status, statusText, isOk, url, redirected, type], [
    200,
    "OK",
    true,
    "http://a/path?q",
    false,
    "basic",
  ]);
  assert.is(response.headers.get("x-a"), "1, 2");
  assert.equal(response.headers.getSetCookie(), ["c=1", "d=2"]);
  const clone = response.clone();
  assert.equal(await response.json(), { a: 1 });
  assert.is(response.bodyUsed, true);
  assert.equal([clone.status, clone.url, clone.type, clone.ok], [200, "http://a/path?q", "basic", true]);
  assert.is((await clone.blob()).type, "x/y");
  at.agent.destroy();
});

test("a body that comes later is a stream", async () => {
  const at = fixture();
  const { peers } = at.serve("a", (peer) => void peer.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nab"));
  const response = await at.agent.fetch("http://a/");
  const reader = response.body!.getReader();
  assert.equal([...(await reader.read()).value!], [97, 98]);
  for (const peer of peers) peer.send("cdef");
  assert.is(new TextDecoder().decode((await reader.read()).value), "cdef");
  assert.is((await reader.read()).done, true);
  assert.is(await (await at.agent.fetch("http://a/", { method: "HEAD" })).text(), "");
  at.agent.destroy();
});

test("a body is read into the reader's own buffer", async () => {
  const at = fixture();
  const { peers } = at.serve("a", (peer) => void peer.send("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nab"));
  const response = await at.agent.fetch("http://a/");
  const reader = response.body!.getReader({ mode: "byob" });
  const first = await reader.read(new Uint8Array(10));
  assert.equal([...first.value!], [97, 98]);
  for (const peer of peers) peer.send("cdef");
  assert.is((await reader.read(new Uint8Array(4))).value!.length, 4);
  assert.is((await reader.read(new Uint8Array(4))).done, true);
  at.agent.destroy();
});

test("leaving a body closes its connection; reading it keeps it", async () => {
  const at = fixture();
  at.serve("a", (peer) => void peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"));
  const response = await at.agent.fetch("http://a/");
  await response.body!.cancel();
  await at.clock.settle();
  assert.is(at.network.sockets.size, 0);
});

for (const status of [204, 205, 304]) {
  test(`${status} has no body`, async () => {
    const at = fixture();
    origin(at, () => `HTTP/1.1 ${status} X\r\n${status === 205 ? "Content-Length: 0\r\n" : ""}\r\n`);
    const response = await at.agent.fetch("http://a/");
    assert.equal([response.status, response.body], [status, null]);
    await at.clock.settle();
    assert.is((await at.agent.request("http://a/")).reusedSocket, true);
    at.agent.destroy();
  });
}

test("a status that Response does not take is shown all the same", async () => {
  const at = fixture();
  origin(at, () => "HTTP/1.1 999 Denied\r\nContent-Length: 1\r\n\r\nx");
  const response = await at.agent.fetch("http://a/");
  assert.equal([response.status, response.ok, await response.text()], [999, false, "x"]);
  at.agent.destroy();
});

test("sends the standard's headers, and the user's in their place", async () => {
  const at = fixture();
  const seen = origin(at, () => ok());
  await at.agent.fetch("http://a/");
  const { head } = seen[0]!;
  assert.equal([field(head, "accept"), field(head, "user-agent")], ["*/*", "holdfast"]);
  assert.match(field(head, "accept-encoding")!, /^gzip, deflate, br(, zstd)?$/);
  await at.agent.fetch("http://a/", { headers: { ACCEPT: "x/y", "user-agent": "me", range: "bytes=0-1" } });
  const second = seen[1]!.head;
  assert.equal(
    ["accept", "user-agent", "accept-encoding"].map((name) => field(second, name)),
    ["x/y", "me", "identity"],
  );
  assert.is(second.match(/accept:/gi)!.length, 1);
  at.agent.destroy();
});

test("takes headers in every form, with the space around values gone", async () => {
  const at = fixture();
  const seen = origin(at, () => ok());
  const forms: NonNullable<FetchInit["headers"]>[] = [
    { "X-A": " 1\t" },
    [["x-a", "1"]],
    new Headers({ "x-a": "1" }),
  ];
  for (const headers of forms) await (await at.agent.fetch("http://a/", { headers })).text();
  await (await at.agent.fetch(new Request("http://a/", { headers: { "x-a": "1" } }))).text();
  assert.equal(seen.map(({ head }) => field(head, "x-a")), ["1", "1", "1", "1"]);
  at.agent.destroy();
});

test("normalises the six methods and no other", async () => {
  const at = fixture();
  const seen = origin(at, () => ok());
  for (const method of ["post", "Delete", "patch"]) await at.agent.fetch("http://a/", { method });
  assert.equal(seen.map(({ head }) => head.split(" ", 1)[0]), ["POST", "DELETE", "patch"]);
  at.agent.destroy();
});

test("bodies bring their type; a Request's own members are read", async () => {
  const at = fixture();
  const seen = origin(at, () => ok());
  const bodies: [FetchInit["body"], string | undefined, string][] = [
    ["text", "text/plain;charset=UTF-8", "text"],
    [new URLSearchParams("a=1"), "application/x-www-form-urlencoded;charset=UTF-8", "a=1"],
    [new Blob(["x"], { type: "x/y" }), "x/y", "x"],
    [new Uint8Array([120]), undefined, "x"],
    [5 as unknown as string, "text/plain;charset=UTF-8", "5"],
    [Readable.from(["x"]), undefined, "1\r\nx\r\n0\r\n\r\n"],
  ];
  for (const [body, type, text] of bodies) {
    await (await at.agent.fetch("http://a/", { method: "POST", body: body! })).text();
    const { head, body: sent } = seen.pop()!;
    assert.equal([field(head, "content-type"), sent], [type, text]);
  }
  const request = new Request("http://a/x", { method: "PUT", body: "hello", headers: { "x-a": "1" } });
  await (await at.agent.fetch(request)).text();
  const { head, body } = seen.pop()!;
  assert.equal([field(head, "x-a"), field(head, "content-length"), body], ["1", "5", "hello"]);
  assert.match(head, /^PUT \/x /);
  assert.is(request.bodyUsed, true);
  assert.is((await failure(at.agent.fetch(request))).code, "ERR_BODY_USED");
  at.agent.destroy();
});

test("a stream needs duplex, and is sent as it comes", async () => {
  const at = fixture();
  const seen = origin(at, () => ok());
  const stream = (): ReadableStream<Uint8Array> => new Response("x").body!;
  assert.instance(await failure(at.agent.fetch("http://a/", { method: "POST", body: stream() })), TypeError);
  await (await at.agent.fetch("http://a/", { method: "POST", body: stream(), duplex: "half" })).text();
  assert.is(seen[0]!.body, "1\r\nx\r\n0\r\n\r\n");
  at.agent.destroy();
});

const INVALID: readonly [string, string | URL | Request, FetchInit][] = [
  ["no URL", "nonsense", {}],
  ["a relative URL", "/x", {}],
  ["credentials in the URL", "http://u:p@a/", {}],
  ["a body with GET", "http://a/", { body: "x" }],
  ["a body with HEAD", "http://a/", { method: "HEAD", body: "x" }],
  ["CONNECT", "http://a/", { method: "CONNECT" }],
  ["TRACE", "http://a/", { method: "trace" }],
  ["TRACK", "http://a/", { method: "Track" }],
  ["a method that is no token", "http://a/", { method: "a b" }],
  ["a header name that is no token", "http://a/", { headers: { "a b": "1" } }],
  ["a line break in a value", "http://a/", { headers: { a: "1\r\nb: 2" } }],
  ["a character over U+00FF in a value", "http://a/", { headers: { a: "\u0100" } }],
  ["pairs of three", "http://a/", { headers: [["a", "b", "c"]] as unknown as [string, string][] }],
  ["an unknown redirect mode", "http://a/", { redirect: "x" as "follow" }],
  ["a signal that is none", "http://a/", { signal: {} as AbortSignal }],
  ["duplex: full", "http://a/", { duplex: "full" as "half" }],
  ["a window", "http://a/", { window: 1 } as unknown as FetchInit],
  ["mode: navigate", "http://a/", { mode: "navigate" }],
  ["an unknown mode", "http://a/", { mode: "corse" as "cors" }],
  ["an unknown cache mode", "http://a/", { cache: "no" as "no-store" }],
  ["unknown credentials", "http://a/", { credentials: "all" as "include" }],
  ["an unknown priority", "http://a/", { priority: "top" as "high" }],
  ["a scheme that nobody fetches", "ftp://a/", {}],
  ["an agent that is none", "http://a/", { agent: {} as Agent }],
];

for (const [name, input, init] of INVALID) {
  test(`${name} rejects with a TypeError and opens nothing`, async () => {
    const at = fixture();
    assert.instance(await failure(at.agent.fetch(input, init)), TypeError);
    assert.is(at.network.connects, 0);
  });
}

test("fails with a TypeError that tells what agent.request would", async () => {
  const at = fixture();
  at.network.fault({ host: "a" }, "ECONNREFUSED");
  const error = await failure(at.agent.fetch("http://a/"));
  assert.instance(error, TypeError);
  assert.equal([error.code, (error.cause as { code: string }).code], ["ECONNREFUSED", "ECONNREFUSED"]);
  assert.is((error as { attempts?: number }).attempts, 1);
});

test("a body cut short fails its reader with a TypeError", async () => {
  const at = fixture();
  const { peers } = at.serve(
    "a",
    (peer) => void peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"),
  );
  const response = await at.agent.fetch("http://a/");
  const text = response.text();
  for (const peer of peers) peer.reset();
  const error = await failure(text);
  assert.instance(error, TypeError);
});

test("an abort rejects with the signal's reason at every stage", async () => {
  const reason = new Error("enough");
  const at = fixture();
  at.serve("a", (peer) => void peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"));
  at.network.fault({ host: "b" }, "hang");
  assert.is(await failure(at.agent.fetch("http://a/", { signal: AbortSignal.abort(reason) })), reason);
  const controller = new AbortController();
  const { signal } = controller;
  const connecting = at.agent.fetch("http://b/", { signal });
  const response = await at.agent.fetch(new Request("http://a/", { signal }));
  const text = response.text();
  const failures = Promise.all([failure(connecting), failure(text)]);
  await at.clock.settle();
  controller.abort(reason);
  assert.equal(await failures, [reason, reason]);
  await at.clock.settle();
  assert.is(at.network.sockets.size, 0);
  const plain = new AbortController();
  const waiting = failure(at.agent.fetch("http://b/", { signal: plain.signal }));
  plain.abort();
  assert.is((await waiting).name, "AbortError");
});

test("an abort cancels the body", async () => {
  for (const isEarly of [true, false]) {
    const at = fixture();
    at.network.fault({ host: "a" }, "hang");
    let cancelled: unknown;
    const body = new ReadableStream<Uint8Array>({ cancel: (reason) => void (cancelled = reason) });
    const controller = new AbortController();
    if (isEarly) controller.abort();
    const { signal } = controller;
    const failed = failure(at.agent.fetch("http://a/", { method: "POST", body, duplex: "half", signal }));
    await at.clock.settle();
    controller.abort();
    await failed;
    assert.ok(cancelled instanceof Error);
  }
});

test("timeouts and retry are agent.request's", async () => {
  const at = fixture();
  at.serve("a", () => {});
  const failed = failure(at.agent.fetch("http://a/", { timeouts: { headers: 1_000 } }));
  await at.clock.advance(1_000);
  const error = await failed;
  assert.instance(error.cause, TimeoutError);
  assert.is(error.code, "ETIMEDOUT");
});

test("decodes, and leaves the headers as they are", async () => {
  const at = fixture();
  const coded = zlib.gzipSync("hello");
  const head = `HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: ${coded.length}\r\n\r\n`;
  origin(at, () => Buffer.concat([Buffer.from(head), coded]));
  const response = await at.agent.fetch("http://a/");
  assert.equal([await response.text(), response.headers.get("content-encoding")], ["hello", "gzip"]);
  at.agent.destroy();
});

test("data: and blob: URLs go to the runtime's fetch", async () => {
  const at = fixture();
  assert.is(await (await at.agent.fetch("data:text/plain,hi")).text(), "hi");
  const url = URL.createObjectURL(new Blob(["blob"]));
  assert.is(await (await at.agent.fetch(url)).text(), "blob");
  URL.revokeObjectURL(url);
  assert.is(at.network.connects, 0);
});

test("integrity is checked before anybody sees the body", async () => {
  const at = fixture();
  origin(at, () => ok("hello"));
  const sha256 = "sha256-LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=";
  for (const integrity of [sha256, `sha256-AAAA ${sha256}`, "", "md5-x"]) {
    assert.is(await (await at.agent.fetch("http://a/", { integrity })).text(), "hello");
  }
  for (const integrity of ["sha256-AAAA", `sha512-AAAA ${sha256}`]) {
    const error = await failure(at.agent.fetch("http://a/", { integrity }));
    assert.instance(error, TypeError);
    assert.is(error.code, "ERR_INTEGRITY");
  }
  at.agent.destroy();
});

test("init.agent wins over the fetch's own; createFetch takes a function", async () => {
  const at = fixture();
  origin(at, () => ok("a"));
  const fetch = createFetch(() => at.agent);
  assert.is(await (await fetch("http://a/")).text(), "a");
  const other = fixture();
  origin(other, () => ok("b"));
  assert.is(await (await fetch("http://a/", { agent: other.agent })).text(), "b");
  at.agent.destroy();
  other.agent.destroy();
});

test("fetch is an SDK's: it needs no this, and no second argument", async () => {
  const at = fixture();
  origin(at, () => ok());
  const { fetch } = at.agent;
  assert.is(fetch, at.agent.fetch);
  assert.is((await fetch(new URL("http://a/"))).status, 200);
  const asGlobal: typeof globalThis.fetch = fetch;
  assert.is((await asGlobal("http://a/")).status, 200);
  at.agent.destroy();
});

test("a rejection comes by the promise, never by a throw", async () => {
  const at = fixture();
  assert.instance(await outcome(at.clock, at.agent.fetch(undefined as unknown as string)), TypeError);
});

test.run();
