/** The bodies of requests, in every form, and what becomes of their sources. */
import * as assert from "uvu/assert";
import { Readable } from "node:stream";
import { suite } from "../harness/suite.ts";
import type { AgentRequestInit, RequestBodyInput } from "@holdfast/agent";
import { codeOf, type Fixture, fixture, ok, outcome } from "./memory_origin.ts";

const test = suite("bodies of agent.request()");

/** What an origin has read of a request. */
interface Seen {
  head: string;
  body: string;
}

/** Answers each request once its body has been read by its framing. */
function recording(at: Fixture): Seen[] {
  const seen: Seen[] = [];
  at.serve("a", async (peer, head) => {
    const length = /^content-length: (\d+)/im.exec(head)?.[1];
    let body = length === undefined ? "" : await peer.readBytes(Number(length)) ?? "cut";
    if (/^transfer-encoding: chunked/im.test(head)) {
      for (;;) {
        const size = parseInt(await peer.readUntil("\r\n") ?? "0", 16);
        body += (await peer.readBytes(size + 2) ?? "").slice(0, size);
        if (size === 0) break;
      }
    }
    seen.push({ head, body });
    peer.send(ok());
  });
  return seen;
}

async function* given(...pieces: (string | Uint8Array)[]): AsyncGenerator<string | Uint8Array> {
  for (const piece of pieces) yield piece;
}

function streamOf(...pieces: string[]): ReadableStream<Uint8Array> {
  return new ReadableStream({
    start(controller): void {
      for (const piece of pieces) controller.enqueue(new TextEncoder().encode(piece));
      controller.close();
    },
  });
}

const form = new FormData();
form.append('a"b', "line\nline");
form.append("file", new File(["content"], "f.txt", { type: "x/y" }));

/** Name, body, framing, Content-Type, content (undefined: looked at elsewhere). */
const BODIES: readonly [string, () => RequestBodyInput, string, string | undefined, string | undefined][] = [
  ["a string", () => "hé", "Content-Length: 3", undefined, "h\xc3\xa9"],
  ["an empty string", () => "", "Content-Length: 0", undefined, ""],
  ["bytes", () => new Uint8Array([104, 105]), "Content-Length: 2", undefined, "hi"],
  ["an ArrayBuffer", () => new Uint8Array([104, 105]).buffer, "Content-Length: 2", undefined, "hi"],
  [
    "a DataView",
    () => new DataView(new Uint8Array([1, 104, 105]).buffer, 1),
    "Content-Length: 2",
    undefined,
    "hi",
  ],
  ["a Blob", () => new Blob(["hi"], { type: "text/x" }), "Content-Length: 2", "text/x", "hi"],
  ["an empty Blob", () => new Blob([]), "Content-Length: 0", undefined, ""],
  [
    "URLSearchParams",
    () => new URLSearchParams({ a: "1 2" }),
    "Content-Length: 5",
    "application/x-www-form-urlencoded;charset=UTF-8",
    "a=1+2",
  ],
  ["FormData", () => form, "Content-Length: ", "multipart/form-data; boundary=", undefined],
  ["a ReadableStream", () => streamOf("he", "", "llo"), "Transfer-Encoding: chunked", undefined, "hello"],
  [
    "an async iterable",
    () => given("he", new Uint8Array([33])),
    "Transfer-Encoding: chunked",
    undefined,
    "he!",
  ],
  ["a Node Readable", () => Readable.from(["he", "llo"]), "Transfer-Encoding: chunked", undefined, "hello"],
  ["a function of a string", () => () => "hi", "Content-Length: 2", undefined, "hi"],
  ["a function of a stream", () => () => streamOf("hi"), "Transfer-Encoding: chunked", undefined, "hi"],
  [
    "a function of a promise",
    () => () => Promise.resolve("hi"),
    "Transfer-Encoding: chunked",
    undefined,
    "hi",
  ],
];

for (const [name, make, framing, type, content] of BODIES) {
  test(`sends ${name}`, async () => {
    const at = fixture();
    const seen = recording(at);
    const response = await at.agent.request("http://a/", { method: "POST", body: make() });
    await response.body.dump();
    const { head, body } = seen[0]!;
    assert.ok(head.includes(`\r\n${framing}`), head);
    assert.is(
      /^content-type: (.*?)\r$/im.exec(head)?.[1]?.startsWith(type ?? ""),
      type === undefined ? undefined : true,
    );
    if (content !== undefined) assert.is(body, content);
    assert.is((await at.agent.request("http://a/")).reusedSocket, true, "the connection can be used again");
    at.agent.destroy();
  });
}

test("FormData is what RFC 7578 and the Fetch Standard make of it", async () => {
  const at = fixture();
  const seen = recording(at);
  await (await at.agent.request("http://a/", { method: "POST", body: form })).body.dump();
  const { head, body } = seen[0]!;
  const boundary = /boundary=(.*?)\r/.exec(head)![1]!;
  assert.is(
    body,
    `--${boundary}\r\nContent-Disposition: form-data; name="a%22b"\r\n\r\nline\r\nline\r\n` +
      `--${boundary}\r\nContent-Disposition: form-data; name="file"; filename="f.txt"\r\nContent-Type: x/y\r\n\r\n` +
      `content\r\n--${boundary}--\r\n`,
  );
  at.agent.destroy();
});

test("the headers' own Content-Type, Content-Length and Transfer-Encoding win", async () => {
  const at = fixture();
  const seen = recording(at);
  const inits: AgentRequestInit[] = [
    { headers: { "content-type": "x/y" }, body: new URLSearchParams("a=1") },
    { headers: { "content-length": 5 }, body: given("he", "llo") },
    { headers: { "transfer-encoding": "chunked" }, body: "hello" },
    { headers: { "transfer-encoding": "chunked" } },
  ];
  for (const init of inits) {
    await (await at.agent.request("http://a/", { method: "POST", ...init })).body.dump();
  }
  assert.match(seen[0]!.head, /\r\ncontent-type: x\/y\r\n/);
  assert.is(seen[0]!.head.match(/content-type/gi)!.length, 1);
  assert.not.match(seen[1]!.head, /transfer-encoding/i);
  assert.equal(seen.map(({ body }) => body), ["a=1", "hello", "hello", ""]);
  at.agent.destroy();
});

test("a large body goes piece by piece, in order and unharmed", async () => {
  const at = fixture();
  const seen = recording(at);
  const bytes = new Uint8Array(300_000).map((_, i) => i * 31 >> 3);
  const text = Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
  for (const body of [bytes, new Blob([bytes]), given(bytes.subarray(0, 70_000), bytes.subarray(70_000))]) {
    await (await at.agent.request("http://a/", { method: "PUT", body })).body.dump();
    assert.ok(seen.pop()!.body === text);
  }
  at.agent.destroy();
});

test("backpressure reaches the source: a peer that does not read is not fed for ever", async () => {
  const at = fixture();
  let isReading = (): void => {};
  at.network.listen({ host: "a" }, async (peer) => {
    await peer.readUntil("\r\n\r\n");
    peer.socket.pause();
    isReading = () => peer.socket.resume();
    await peer.readUntil("0\r\n\r\n");
    peer.send(ok());
  });
  let pulled = 0;
  async function* endless(): AsyncGenerator<Uint8Array> {
    for (; pulled < 400; pulled++) yield new Uint8Array(1_000).fill(120);
  }
  const response = at.agent.request("http://a/", { method: "POST", body: endless() });
  await at.clock.settle();
  assert.ok(pulled > 0 && pulled < 200, `${pulled} pieces were pulled`);
  isReading();
  assert.is((await response).status, 200);
  assert.is(pulled, 400);
  at.agent.destroy();
});

test("a piece may be changed once the next one is asked for", async () => {
  const at = fixture();
  const seen = recording(at);
  const shared = new Uint8Array(20_000);
  async function* reusing(size: number): AsyncGenerator<Uint8Array> {
    for (let i = 0; i < 5; i++) {
      shared.fill(97 + i);
      yield shared.subarray(0, size);
    }
  }
  for (const size of [3, 20_000]) {
    await (await at.agent.request("http://a/", { method: "POST", body: reusing(size) })).body.dump();
    assert.is(seen.pop()!.body, ["a", "b", "c", "d", "e"].map((each) => each.repeat(size)).join(""));
  }
  at.agent.destroy();
});

/** A source of each kind that never ends by itself, and whether it was closed. */
const SOURCES: readonly [string, () => { body: RequestBodyInput; isClosed(): boolean }][] = [
  ["a ReadableStream", () => {
    let isClosed = false;
    const body = new ReadableStream<Uint8Array>({
      pull: (controller) => controller.enqueue(new Uint8Array(10)),
      cancel: () => void (isClosed = true),
    });
    return { body, isClosed: () => isClosed };
  }],
  ["an async iterable", () => {
    let isClosed = false;
    const body: AsyncIterable<Uint8Array> = {
      [Symbol.asyncIterator]: () => ({
        next: () => Promise.resolve({ done: false, value: new Uint8Array(10) }),
        return: () => {
          isClosed = true;
          return Promise.resolve({ done: true, value: undefined });
        },
      }),
    };
    return { body, isClosed: () => isClosed };
  }],
  ["a Node Readable", () => {
    const body = new Readable({ read: () => void body.push(new Uint8Array(10)) });
    return { body, isClosed: () => body.destroyed };
  }],
  ["a function of a Readable", () => {
    const made = new Readable({ read: () => void made.push(new Uint8Array(10)) });
    return { body: () => made, isClosed: () => made.destroyed };
  }],
];

for (const [name, make] of SOURCES) {
  test(`an early response stops the upload from ${name} and closes it`, async () => {
    const at = fixture();
    at.network.listen({ host: "a" }, async (peer) => {
      await peer.readUntil("\r\n\r\n");
      peer.socket.pause();
      peer.send("HTTP/1.1 413 Too Large\r\nContent-Length: 0\r\n\r\n");
    });
    const { body, isClosed } = make();
    const response = await at.agent.request("http://a/", { method: "POST", body });
    assert.is(response.status, 413);
    await at.clock.settle();
    assert.ok(isClosed());
    assert.is(at.network.sockets.size, 0, "the connection is not used again");
  });

  test(`an abort at any stage closes ${name}`, async () => {
    for (const stage of ["at once", "queued", "connecting", "sending"]) {
      const at = fixture({ maxSockets: 1 });
      if (stage === "queued") at.serve("a", () => {});
      else if (stage === "connecting") at.network.fault({ host: "a" }, "hang");
      else at.network.listen({ host: "a" }, (peer) => peer.socket.pause());
      const first = stage === "queued" ? at.agent.request("http://a/") : undefined;
      const { body, isClosed } = make();
      const controller = new AbortController();
      if (stage === "at once") controller.abort();
      const { signal } = controller;
      const response = at.agent.request("http://a/", { method: "POST", body, signal });
      if (stage !== "at once") assert.is(await outcome(at.clock, response), "pending");
      controller.abort();
      assert.is(await codeOf(at.clock, response), "ABORT_ERR", stage);
      assert.ok(isClosed(), stage);
      at.agent.destroy();
      if (first !== undefined) assert.is(await codeOf(at.clock, first), "ERR_AGENT_DESTROYED");
    }
  });

  test(`a request that cannot be sent closes ${name}`, async () => {
    const at = fixture();
    const { body, isClosed } = make();
    const init: AgentRequestInit = { method: "POST", body, headers: { "a b": "1" } };
    assert.is(await codeOf(at.clock, at.agent.request("http://a/", init)), "ERR_INVALID_HTTP_TOKEN");
    await at.clock.settle();
    assert.ok(isClosed());
  });
}

test("a body that fails fails the request and its connection, with the source's error as cause", async () => {
  const fault = new Error("no more");
  async function* failing(): AsyncGenerator<string> {
    yield "x";
    throw fault;
  }
  const destroyed = new Readable({ read: () => void destroyed.destroy(fault) });
  for (const body of [failing(), destroyed, () => Promise.reject(fault)]) {
    const at = fixture();
    recording(at);
    const error = await outcome(at.clock, at.agent.request("http://a/", { method: "POST", body })) as Error;
    assert.is((error as { code?: string }).code, "ERR_BODY_SOURCE");
    assert.is(error.cause, fault);
    assert.is((error as { attempts?: number }).attempts, 1);
    await at.clock.settle();
    assert.is(at.network.sockets.size, 0);
  }
});

test("a function that throws fails the request, at once or when the body is made anew", async () => {
  const fault = new Error("no more");
  for (const good of [0, 1]) {
    const at = fixture();
    let turn = 0;
    at.serve("a", async (peer, head) => {
      if (head.startsWith("GET")) return void peer.send(ok());
      // Begun, and lost.
      await peer.readBytes(1);
      peer.reset();
    });
    await (await at.agent.request("http://a/")).body.dump();
    const made = (): ReadableStream<Uint8Array> => {
      if (turn++ === good) throw fault;
      return streamOf("hi");
    };
    const sent = at.agent.request("http://a/", { method: "PUT", body: made });
    const error = await outcome(at.clock, sent) as Error & { code?: string };
    assert.equal([error.code, error.cause === fault, turn], ["ERR_BODY_SOURCE", true, good + 1]);
    at.agent.destroy();
  }
});

test("a piece that is no bytes fails the request", async () => {
  const at = fixture();
  recording(at);
  const body = given(5 as unknown as string);
  assert.is(
    await codeOf(at.clock, at.agent.request("http://a/", { method: "POST", body })),
    "ERR_BODY_SOURCE",
  );
});

test("Content-Length: a surplus byte is never sent, a missing one is an error", async () => {
  for (const [pieces, sent] of [[["abc", "def"], "abc"], [["abc"], "abc"], [["abcdef"], ""]] as const) {
    const at = fixture();
    let received = "";
    at.network.listen({ host: "a" }, async (peer) => {
      await peer.readUntil("\r\n\r\n");
      await peer.closed;
      received = peer.received;
    });
    const init: AgentRequestInit = {
      method: "POST",
      headers: { "content-length": 5 },
      body: given(...pieces),
    };
    const response = at.agent.request("http://a/", init);
    assert.is(await codeOf(at.clock, response), "ERR_HTTP_CONTENT_LENGTH_MISMATCH");
    await at.clock.settle();
    assert.ok(sent.startsWith(received), received);
    assert.is(at.network.sockets.size, 0);
  }
});

test("a used stream is refused before a connection is asked for", async () => {
  const at = fixture();
  const body = streamOf("x");
  body.getReader();
  assert.is(await codeOf(at.clock, at.agent.request("http://a/", { method: "POST", body })), "ERR_BODY_USED");
  assert.is(at.network.connects, 0);
});

/** An origin that answers the head of a request as told, then its body. */
function expecting(at: Fixture, answer: string): string[] {
  const seen: string[] = [];
  at.network.listen({ host: "a" }, async (peer) => {
    const head = await peer.readUntil("\r\n\r\n");
    seen.push(/^expect: .*$/im.exec(head!)?.[0] ?? "no expectation");
    if (answer !== "") peer.send(answer);
    if (answer !== "" && !answer.includes(" 100 ")) return;
    seen.push(await peer.readBytes(5) ?? "no body");
    peer.send(ok());
  });
  return seen;
}

for (const body of ["hello", () => given("he", "llo")]) {
  const init: AgentRequestInit = {
    method: "POST",
    headers: { "content-length": 5 },
    body: typeof body === "string" ? body : body,
    expectContinue: true,
  };
  const kind = typeof body;

  test(`Expect: 100-continue waits for 100 (${kind})`, async () => {
    const at = fixture();
    const seen = expecting(at, "HTTP/1.1 100 Continue\r\n\r\n");
    assert.is((await at.agent.request("http://a/", init)).status, 200);
    assert.equal(seen, ["Expect: 100-continue", "hello"]);
    at.agent.destroy();
  });

  test(`Expect: 100-continue sends nothing after a final response (${kind})`, async () => {
    const at = fixture();
    const seen = expecting(at, "HTTP/1.1 417 No\r\nContent-Length: 0\r\n\r\n");
    const response = await at.agent.request("http://a/", init);
    assert.is(response.status, 417);
    await at.clock.settle();
    assert.equal(seen, ["Expect: 100-continue"]);
    assert.is(at.network.sockets.size, 0);
  });

  test(`Expect: 100-continue waits a second, or as long as it is told (${kind})`, async () => {
    for (const [expectContinue, waitMs] of [[true, 1_000], [50, 50]] as const) {
      const at = fixture();
      const seen = expecting(at, "");
      const response = at.agent.request("http://a/", { ...init, expectContinue });
      await at.clock.advance(waitMs - 1);
      assert.is(seen.length, 1);
      await at.clock.advance(1);
      assert.is(seen.length, 2);
      assert.is((await response).status, 200);
      at.agent.destroy();
    }
  });
}

test("a final response whose body is slow does not let the request's body go either", async () => {
  const at = fixture();
  let received: string | undefined;
  at.network.listen({ host: "a" }, async (peer) => {
    await peer.readUntil("\r\n\r\n");
    peer.send("HTTP/1.1 401 X\r\nContent-Length: 1\r\n\r\n");
    await new Promise<void>((resolve) => at.clock.after(5_000, resolve));
    received = peer.received;
    peer.send("x");
  });
  const { status, body } = await at.agent.request("http://a/", {
    method: "POST",
    body: "s",
    expectContinue: true,
  });
  await at.clock.advance(5_000);
  assert.equal([status, await body.text(), received], [401, "x", ""]);
});

test("an interim response other than 100 does not let the body go", async () => {
  const at = fixture();
  const seen: string[] = [];
  at.network.listen({ host: "a" }, async (peer) => {
    await peer.readUntil("\r\n\r\n");
    peer.send("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
    seen.push(await peer.readBytes(1) ?? "none");
  });
  const infos: [number, unknown][] = [];
  const response = at.agent.request("http://a/", {
    method: "POST",
    body: "x",
    expectContinue: 100,
    onInformational: ({ status, headers }) => void infos.push([status, headers.link]),
  });
  response.catch(() => {});
  await at.clock.advance(99);
  assert.equal(infos, [[103, "x"]]);
  assert.equal(seen, []);
  at.agent.destroy();
  await at.clock.settle();
});

test.run();
