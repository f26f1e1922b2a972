import * as assert from "uvu/assert";
import { suite } from "../harness/suite.ts";
import { codeOf, fixture, ok, outcome } from "./memory_origin.ts";
import type { AgentResponse } from "@holdfast/agent";

const test = suite("Agent.request()");

test("resolves with status, headers and a body, and tells reuse", async () => {
  const { agent, clock, serve } = fixture();
  const listener = serve("a", (peer) => void peer.send(ok("hello", "X-A: 1", "x-a: 2", "Set-Cookie: c=1")));
  const first = await agent.request("http://a/");
  assert.is(first.status, 200);
  assert.is(first.statusText, "OK");
  assert.is(first.headers["x-a"], "1, 2");
  assert.equal(first.headers["set-cookie"], ["c=1"]);
  assert.equal(first.rawHeaders.slice(0, 4), ["X-A", "1", "x-a", "2"]);
  assert.is(await first.body.text(), "hello");
  const second = await agent.request(new URL("http://a/"));
  assert.equal([first.reusedSocket, second.reusedSocket], [false, true]);
  await second.body.dump();
  assert.is(listener.accepted, 1);
  agent.destroy();
  await clock.settle();
});

test("sends the request line, Host and nothing that was not asked for", async () => {
  const { agent, serve } = fixture();
  const heads: string[] = [];
  serve("a", (peer, head) => {
    heads.push(head);
    peer.send(ok());
  });
  await (await agent.request("http://a:8080/x?y=%20#fragment", { headers: { "X-A": "1" } })).body.dump();
  assert.equal(heads, ["GET /x?y=%20 HTTP/1.1\r\nHost: a:8080\r\nX-A: 1\r\n\r\n"]);
  agent.destroy();
});

test("takes an origin with a path, which is sent as it is", async () => {
  const { agent, serve } = fixture();
  const lines: string[] = [];
  serve("a", (peer, head) => {
    lines.push(head.split("\r\n", 2).join(" "));
    peer.send(ok());
  });
  for (const path of ["/x/../y?z", "*"]) {
    await (await agent.request({ origin: "http://a:80/ignored", path }, { method: "OPTIONS" })).body.dump();
  }
  assert.equal(lines, ["OPTIONS /x/../y?z HTTP/1.1 Host: a", "OPTIONS * HTTP/1.1 Host: a"]);
  agent.destroy();
});

test("socketPath leads to a unix socket, and to no connection of another place", async () => {
  const { agent, network, serve } = fixture();
  serve("a", (peer) => void peer.send(ok("a")));
  network.listen({ path: "/run/x" }, async (peer) => {
    while (await peer.readUntil("\r\n\r\n") !== undefined) peer.send(ok("x"));
  });
  const socketPath = "/run/x";
  const texts: string[] = [];
  for (const init of [{}, { socketPath }, {}, { socketPath }]) {
    texts.push(await (await agent.request("http://a/", init)).body.text());
  }
  assert.equal(texts, ["a", "x", "a", "x"]);
  assert.is(network.connects, 2);
  agent.destroy();
});

test("a TLS body that ends without close_notify is an error, unless it is allowed", async () => {
  const { agent, clock, network, serve } = fixture({
    runtime: (options, handler) =>
      network.connect(options, {
        onOpen: () => handler.onOpen(),
        onData: (chunk) => handler.onData(chunk),
        onEnd: () => handler.onEnd(false),
        onDrain: () => handler.onDrain(),
        onClose: (error) => handler.onClose(error),
      }),
  });
  serve("a", (peer) => {
    peer.send("HTTP/1.1 200 OK\r\n\r\nhalf");
    peer.end();
  });
  const read = (allowTruncatedTls?: boolean): Promise<string> =>
    agent.request("http://a/", { allowTruncatedTls }).then(({ body }) => body.text());
  assert.is(await codeOf(clock, read()), "ECONNRESET");
  assert.is(await read(true), "half");
});

test("sends a body with its length", async () => {
  const { agent, serve } = fixture();
  const seen: string[] = [];
  serve("a", async (peer, head) => {
    const length = Number(/Content-Length: (\d+)/.exec(head)?.[1]);
    seen.push(`${length} ${(await peer.readBytes(length))?.length}`);
    peer.send(ok());
  });
  for (const body of ["small", new Uint8Array(100_000), "ü"]) {
    await (await agent.request("http://a/", { method: "POST", body })).body.dump();
  }
  assert.equal(seen, ["5 5", "100000 100000", "2 2"]);
  agent.destroy();
});

test("sends the URL's credentials unless the caller gave his own", async () => {
  const { agent, serve } = fixture();
  const heads: string[] = [];
  serve("a", (peer, head) => {
    heads.push(/^Authorization: (.*)$/im.exec(head)?.[1] ?? "none");
    peer.send(ok());
  });
  await (await agent.request("http://us%C3%A9r:p%40ss@a/")).body.dump();
  await (await agent.request("http://u:p@a/", { headers: { authorization: "Own" } })).body.dump();
  assert.equal(heads, ["Basic dXPDqXI6cEBzcw==", "Own"]);
  agent.destroy();
});

const BODIES: readonly [string, string, string, boolean][] = [
  ["Content-Length", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", true],
  [
    "chunked",
    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\n\r\n",
    "hello",
    true,
  ],
  ["the close", "HTTP/1.1 200 OK\r\n\r\nhello", "hello", false],
  ["204", "HTTP/1.1 204 No Content\r\n\r\n", "", true],
  [
    "interim responses",
    "HTTP/1.1 103 Early\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    "ok",
    true,
  ],
  ["Connection: close", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok", "ok", false],
  ["HTTP/1.0", "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok", "ok", false],
  ["surplus bytes", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok!", "ok", false],
];

for (const [name, message, text, isReused] of BODIES) {
  test(`reads a body ended by ${name}, whole and byte by byte; reuse: ${isReused}`, async () => {
    for (const isWhole of [true, false]) {
      const { agent, clock, network, serve } = fixture();
      serve("a", (peer) => {
        for (const part of isWhole ? [message] : message) peer.send(part);
        if (!message.includes("Length") && !message.includes("chunked") && !message.includes("204")) {
          peer.end();
        }
      });
      const response = await agent.request("http://a/");
      assert.is(await response.body.text(), text);
      await clock.settle();
      const next = await agent.request("http://a/");
      assert.is(next.reusedSocket, isReused);
      await next.body.dump();
      agent.destroy();
      await clock.settle();
      assert.is(network.sockets.size, 0);
    }
  });
}

test("reads no body after HEAD, whatever its Content-Length", async () => {
  const { agent, serve } = fixture();
  serve("a", (peer) => void peer.send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"));
  assert.is(await (await agent.request("http://a/", { method: "HEAD" })).body.text(), "");
  assert.is((await agent.request("http://a/", { method: "HEAD" })).reusedSocket, true);
  agent.destroy();
});

test("the body is read once", async () => {
  const { agent, clock, serve } = fixture();
  serve("a", (peer) => void peer.send(ok('{"a":[1]}')));
  const { body } = await agent.request("http://a/");
  assert.is(body.bodyUsed, false);
  assert.equal(await body.json(), { a: [1] });
  assert.is(body.bodyUsed, true);
  assert.is(await codeOf(clock, body.text()), "ERR_BODY_USED");
  agent.destroy();
});

test("iterating gives bytes of the reader's own; leaving early closes the connection", async () => {
  const { agent, clock, network, serve } = fixture();
  serve("a", (peer) => void peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"));
  const { body } = await agent.request("http://a/");
  for await (const chunk of body) {
    assert.equal([...chunk], [97, 98, 99]);
    break;
  }
  await clock.settle();
  assert.is(network.sockets.size, 0);
});

test("a body nobody reads pauses the connection; all of it is there later", async () => {
  const { agent, clock, network, serve } = fixture();
  const size = 1_000_000;
  serve("a", (peer) => void peer.send(ok("x".repeat(size))));
  const { body } = await agent.request("http://a/");
  await clock.settle();
  const [socket] = network.sockets;
  assert.ok(socket!.bytesRead < 300_000, `${socket!.bytesRead} bytes were read for nobody`);
  assert.is((await body.bytes()).length, size);
  await (await agent.request("http://a/")).body.dump();
  assert.is(network.connects, 1);
  agent.destroy();
});

test("a pause does not swallow what came with the end of the stream", async () => {
  const { agent, clock, serve } = fixture();
  serve("a", (peer) => {
    peer.send(`HTTP/1.1 200 OK\r\n\r\n${"y".repeat(200_000)}`);
    peer.end();
  });
  const { body } = await agent.request("http://a/");
  await clock.settle();
  assert.is((await body.text()).length, 200_000);
});

const FAULTS: readonly [string, string, "end" | "reset" | "stay", string][] = [
  ["a FIN instead of a response", "", "end", "ECONNRESET"],
  ["a RST instead of a response", "", "reset", "ECONNRESET"],
  ["a FIN within the head", "HTTP/1.1 200 OK\r\nCont", "end", "ECONNRESET"],
  ["something that is no HTTP", "SSH-2.0-x\r\n", "stay", "HPE_INVALID_CONSTANT"],
  [
    "two lengths",
    "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
    "stay",
    "HPE_UNEXPECTED_CONTENT_LENGTH",
  ],
  ["an endless head", `HTTP/1.1 200 OK\r\nA: ${"a".repeat(20_000)}`, "stay", "HPE_HEADER_OVERFLOW"],
  ["101 that nobody asked for", "HTTP/1.1 101 Switching\r\n\r\n", "stay", "HPE_INVALID_CONSTANT"],
];

for (const [name, message, end, code] of FAULTS) {
  test(`${name} rejects with ${code} and closes the connection`, async () => {
    const { agent, clock, network, serve } = fixture();
    serve("a", (peer) => {
      if (message !== "") peer.send(message);
      if (end === "end") peer.end();
      if (end === "reset") peer.reset();
    });
    assert.is(await codeOf(clock, agent.request("http://a/", { method: "POST", body: "x" })), code);
    await clock.settle();
    assert.is(network.sockets.size, 0);
  });
}

for (const end of ["end", "reset"] as const) {
  for (const framing of ["Content-Length: 9", "Transfer-Encoding: chunked"]) {
    test(`a body of ${framing} cut short by ${end} fails its reader`, async () => {
      const { agent, clock, network, serve } = fixture();
      const peers = serve("a", (peer) =>
        void peer.send(`HTTP/1.1 200 OK\r\n${framing}\r\n\r\n1\r\nx\r\n`)).peers;
      const { body } = await agent.request("http://a/");
      for (const peer of peers) peer[end]();
      assert.is(await codeOf(clock, body.text()), "ECONNRESET");
      await clock.settle();
      assert.is(network.sockets.size, 0);
    });
  }
}

test("a body ended by the close fails its reader on a RST", async () => {
  const { agent, clock, serve } = fixture();
  const { peers } = serve("a", (peer) => void peer.send("HTTP/1.1 200 OK\r\n\r\nhalf"));
  const { body } = await agent.request("http://a/");
  for (const peer of peers) peer.reset();
  assert.is(await codeOf(clock, body.text()), "ECONNRESET");
});

test("bytes that nobody asked for close an idle connection", async () => {
  const { agent, clock, network, serve } = fixture();
  const { peers } = serve("a", (peer) => void peer.send(ok()));
  await (await agent.request("http://a/")).body.dump();
  await clock.settle();
  assert.is(network.sockets.size, 1);
  for (const peer of peers) peer.send("HTTP/1.1 408 Request Timeout\r\nContent-Length: 0\r\n\r\n");
  await clock.settle();
  assert.is(network.sockets.size, 0);
  const next = await agent.request("http://a/");
  assert.equal([next.status, next.reusedSocket], [200, false]);
  agent.destroy();
});

test("an idle connection that its peer closes is not used again", async () => {
  for (const end of ["end", "reset"] as const) {
    const { agent, clock, network, serve } = fixture();
    const { peers } = serve("a", (peer) => void peer.send(ok()));
    await (await agent.request("http://a/")).body.dump();
    await clock.settle();
    assert.is(network.sockets.size, 1);
    for (const peer of peers) peer[end]();
    await clock.settle();
    assert.is(network.sockets.size, 0);
  }
});

test("a refused connection rejects with its code", async () => {
  const { agent, clock, network } = fixture();
  network.fault({ host: "a" }, "ECONNREFUSED");
  assert.is(await codeOf(clock, agent.request("http://a/")), "ECONNREFUSED");
  assert.is(network.sockets.size, 0);
});

const INVALID: readonly [
  string,
  string | URL,
  Parameters<ReturnType<typeof fixture>["agent"]["request"]>[1],
  string,
][] = [
  ["no URL", "nonsense", {}, "ERR_INVALID_URL"],
  ["an origin without a path", { origin: "http://a/" } as unknown as URL, {}, "ERR_INVALID_ARG_TYPE"],
  [
    "a path without a slash",
    { origin: "http://a/", path: "x" } as unknown as URL,
    {},
    "ERR_INVALID_ARG_VALUE",
  ],
  [
    "a path with a space",
    { origin: "http://a/", path: "/ x" } as unknown as URL,
    {},
    "ERR_UNESCAPED_CHARACTERS",
  ],
  ["tls that is none", "http://a/", { tls: 1 as unknown as object }, "ERR_INVALID_ARG_TYPE"],
  ["a port out of range", "http://a:70000/", {}, "ERR_INVALID_URL"],
  ["port 0", "http://a:0/", {}, "ERR_SOCKET_BAD_PORT"],
  ["an init that is null", "http://a/", null as unknown as undefined, "ERR_INVALID_ARG_TYPE"],
  ["an init that is text", "http://a/", "x" as unknown as undefined, "ERR_INVALID_ARG_TYPE"],
  ["a signal that is none", "http://a/", { signal: 5 as unknown as AbortSignal }, "ERR_INVALID_ARG_TYPE"],
  ["CONNECT", "http://a/", { method: "CONNECT" }, "ERR_INVALID_ARG_VALUE"],
  [
    "a slip in the name of a timeout",
    "http://a/",
    { timeouts: { header: 1 } as object },
    "ERR_INVALID_ARG_VALUE",
  ],
  ["another scheme", "ftp://a/", {}, "ERR_INVALID_PROTOCOL"],
  ["a number for a URL", 1 as unknown as string, {}, "ERR_INVALID_ARG_TYPE"],
  ["broken credentials", "http://%zz@a/", {}, "ERR_INVALID_URL"],
  ["a method with a space", "http://a/", { method: "GET /" }, "ERR_INVALID_HTTP_TOKEN"],
  ["a header name with a space", "http://a/", { headers: { "a b": "1" } }, "ERR_INVALID_HTTP_TOKEN"],
  ["a line break in a value", "http://a/", { headers: { a: "1\r\nb: 2" } }, "ERR_INVALID_CHAR"],
  ["two hosts", "http://a/", { headers: [["host", "a"], ["Host", "b"]] }, "ERR_HTTP_INVALID_HEADER_VALUE"],
  ["a body of another type", "http://a/", { body: 5 as unknown as string }, "ERR_INVALID_ARG_TYPE"],
  [
    "a wrong Content-Length",
    "http://a/",
    { method: "POST", headers: { "content-length": "9" }, body: "x" },
    "ERR_HTTP_CONTENT_LENGTH_MISMATCH",
  ],
  ["a body with TRACE", "http://a/", { method: "TRACE", body: "x" }, "ERR_HTTP_BODY_NOT_ALLOWED"],
];

for (const [name, url, init, code] of INVALID) {
  test(`${name} rejects with ${code} and opens nothing`, async () => {
    const { agent, clock, network, serve } = fixture({ maxSockets: 1 });
    serve("a", (peer) => void peer.send(ok()));
    assert.is(await codeOf(clock, agent.request(url, init)), code);
    assert.is(network.connects, 0);
    await (await agent.request("http://a/")).body.dump();
    agent.destroy();
  });
}

test("abort settles at every stage and leaves no socket", async () => {
  const stages: [string, (at: ReturnType<typeof fixture>) => void][] = [
    ["connecting", ({ network }) => void network.fault({ host: "a" }, "hang")],
    ["waiting for the head", ({ serve }) => void serve("a", () => {})],
    [
      "in the body",
      ({ serve }) =>
        void serve("a", (peer) => void peer.send("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx")),
    ],
  ];
  for (const [name, prepare] of stages) {
    const at = fixture();
    prepare(at);
    const controller = new AbortController();
    const response = at.agent.request("http://a/", { signal: controller.signal });
    const whole = response.then(({ body }) => body.text());
    await at.clock.settle();
    const reason = new Error("enough");
    controller.abort(reason);
    const error = await outcome(at.clock, whole) as Error;
    assert.is((error as { code?: string }).code, "ABORT_ERR", name);
    assert.is(error.cause, reason, name);
    assert.is(at.network.sockets.size, 0, name);
  }
});

test("abort settles in the queue and takes no one's place", async () => {
  const { agent, clock, network, serve } = fixture({ maxSockets: 1 });
  const answers: (() => void)[] = [];
  serve("a", (peer) => void answers.push(() => void peer.send(ok())));
  const first = agent.request("http://a/1");
  const controller = new AbortController();
  const second = agent.request("http://a/2", { signal: controller.signal });
  const third = agent.request("http://a/3");
  await clock.settle();
  controller.abort();
  assert.is(await codeOf(clock, second), "ABORT_ERR");
  for (const pending of [first, third]) {
    answers.shift()!();
    await (await pending).body.dump();
    await clock.settle();
  }
  assert.is(network.connects, 1);
  agent.destroy();
});

test("an aborted signal rejects before anything happens; a later abort changes nothing", async () => {
  const { agent, clock, network, serve } = fixture();
  assert.is(await codeOf(clock, agent.request("http://a/", { signal: AbortSignal.abort() })), "ABORT_ERR");
  assert.is(network.connects, 0);
  serve("a", (peer) => void peer.send(ok()));
  const controller = new AbortController();
  const response: AgentResponse = await agent.request("http://a/", { signal: controller.signal });
  assert.is(await response.body.text(), "ok");
  controller.abort();
  await clock.settle();
  assert.is(network.sockets.size, 1);
  agent.destroy();
});

test("a signal that many requests share has one listener, and none once they are done", async () => {
  const at = fixture();
  let isSilent = false;
  at.serve("a", (peer) => isSilent ? undefined : void peer.send(ok()));
  const controller = new AbortController();
  const { signal } = controller;
  const calls: string[] = [];
  for (const name of ["addEventListener", "removeEventListener"] as const) {
    const method = signal[name].bind(signal) as (...args: unknown[]) => void;
    Object.defineProperty(signal, name, {
      value: (...args: unknown[]) => {
        calls.push(name);
        method(...args);
      },
    });
  }
  const get = (): Promise<string> =>
    at.agent.request("http://a/", { signal }).then(({ body }) => body.text());
  await at.clock.until(Promise.all(Array.from({ length: 30 }, get)));
  assert.equal(calls, ["addEventListener", "removeEventListener"]);
  isSilent = true;
  const codes = Promise.all(Array.from({ length: 30 }, () => get().catch((error) => error.code)));
  await at.clock.settle();
  controller.abort();
  assert.equal(new Set(await codes), new Set(["ABORT_ERR"]));
  assert.is(calls.length, 4);
  at.agent.destroy();
});

test.run();
