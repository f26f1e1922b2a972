/** Programs that take a fetch, taken as they are published: they are given ours, and a server tells what came. */
import * as assert from "uvu/assert";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import Anthropic from "@anthropic-ai/sdk";
import { request as octokit } from "@octokit/request";
import { Gaxios } from "gaxios";
import ky from "ky";
import { createFetch as createOfetch } from "ofetch";
import OpenAI from "openai";
import Stripe from "stripe";
import { suite } from "../harness/suite.ts";
import { Agent } from "@holdfast/agent";

const test = suite("fetch in the hands of others");

interface Seen {
  readonly line: string;
  readonly headers: IncomingMessage["headers"];
  readonly body: string;
}

/** What a test works with. */
interface Bench {
  readonly url: string;
  readonly port: number;
  readonly fetch: typeof globalThis.fetch;
  readonly seen: Seen[];
}

type Answer = (seen: Seen, response: ServerResponse, turn: number) => void;

function json(response: ServerResponse, value: unknown, status = 200): void {
  response.writeHead(status, { "content-type": "application/json" });
  response.end(JSON.stringify(value));
}

/** Runs `work` against a server; asserts that all of its requests went over one connection, by our fetch. */
async function withServer(answer: Answer, work: (bench: Bench) => Promise<void>): Promise<void> {
  const seen: Seen[] = [];
  let connections = 0;
  const server: Server = createServer(async (request, response) => {
    let body = "";
    for await (const chunk of request) body += chunk;
    const one = { line: `${request.method} ${request.url}`, headers: request.headers, body };
    answer(one, response, seen.push(one) - 1);
  });
  server.on("connection", () => connections++);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const agent = new Agent({ keepAlive: true });
  const bench = { url: `http://127.0.0.1:${port}`, port, fetch: agent.fetch, seen };
  try {
    await work(bench);
    assert.is(connections, 1);
    assert.ok(seen.length >= 2 && agent.stats().opened === 1, "it was our fetch");
  } finally {
    agent.destroy();
    await new Promise((resolve) => server.close(resolve));
  }
}

test("openai: a completion, and a stream of one", async () => {
  const answer: Answer = ({ body }, response) => {
    if (JSON.parse(body).stream !== true) {
      return json(response, { choices: [{ message: { role: "assistant", content: "hi" } }] });
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    for (const content of ["a", "b", "c"]) {
      response.write(`data: ${JSON.stringify({ choices: [{ delta: { content } }] })}\n\n`);
    }
    response.end("data: [DONE]\n\n");
  };
  await withServer(answer, async ({ url, fetch, seen }) => {
    const client = new OpenAI({ apiKey: "key", baseURL: `${url}/v1`, fetch });
    const messages = [{ role: "user" as const, content: "hello" }];
    const whole = await client.chat.completions.create({ model: "m", messages });
    assert.is(whole.choices[0]?.message.content, "hi");
    let text = "";
    for await (const part of await client.chat.completions.create({ model: "m", messages, stream: true })) {
      text += part.choices[0]?.delta.content;
    }
    assert.is(text, "abc");
    assert.equal(seen.map(({ line }) => line), ["POST /v1/chat/completions", "POST /v1/chat/completions"]);
    assert.is(seen[0]!.headers.authorization, "Bearer key");
  });
});

test("openai: retries what the server cannot do now, and uploads a form", async () => {
  const answer: Answer = (_seen, response, turn) => {
    if (turn === 0) {
      response.writeHead(503, { "retry-after-ms": "1" });
      return void response.end();
    }
    json(response, { id: "file" });
  };
  await withServer(answer, async ({ url, fetch, seen }) => {
    const client = new OpenAI({ apiKey: "key", baseURL: url, fetch });
    const file = new File(["content"], "f.txt");
    assert.is((await client.files.create({ file, purpose: "batch" })).id, "file");
    assert.match(seen[1]!.headers["content-type"]!, /^multipart\/form-data; boundary=/);
    assert.ok(seen[1]!.body.includes("content"));
  });
});

test("anthropic: a message, and a stream of one", async () => {
  const answer: Answer = ({ body }, response) => {
    const message = {
      id: "m",
      type: "message",
      role: "assistant",
      content: [{ type: "text", text: "hi" }],
      usage: {},
    };
    if (JSON.parse(body).stream !== true) return json(response, message);
    response.writeHead(200, { "content-type": "text/event-stream" });
    const send = (type: string, rest: object): void =>
      void response.write(`event: ${type}\ndata: ${JSON.stringify({ type, ...rest })}\n\n`);
    send("message_start", { message: { ...message, content: [] } });
    send("content_block_start", { index: 0, content_block: { type: "text", text: "" } });
    for (const text of ["a", "b"]) {
      send("content_block_delta", { index: 0, delta: { type: "text_delta", text } });
    }
    send("message_stop", {});
    response.end();
  };
  await withServer(answer, async ({ url, fetch, seen }) => {
    const client = new Anthropic({ apiKey: "key", baseURL: url, fetch });
    const ask = { model: "m", max_tokens: 9, messages: [{ role: "user" as const, content: "hello" }] };
    assert.equal((await client.messages.create(ask)).content, [{ type: "text", text: "hi" }] as never);
    let text = "";
    for await (const event of await client.messages.create({ ...ask, stream: true })) {
      if (event.type === "content_block_delta" && event.delta.type === "text_delta") text += event.delta.text;
    }
    assert.is(text, "ab");
    assert.ok(seen[0]!.headers["anthropic-version"] !== undefined);
  });
});

test("octokit: a request, and an error of the server", async () => {
  const answer: Answer = ({ line }, response) =>
    line.includes("/good")
      ? json(response, { name: "good" })
      : json(response, { message: "no such thing" }, 404);
  await withServer(answer, async ({ url, fetch }) => {
    const get = octokit.defaults({ baseUrl: url, request: { fetch } });
    assert.is((await get("GET /repos/{owner}/{repo}", { owner: "o", repo: "good" })).data.name, "good");
    const error = await get("GET /repos/{owner}/{repo}", { owner: "o", repo: "bad" }).catch((error) => error);
    assert.is(error.status, 404);
  });
});

test("ky: json there and back, retries, hooks, search parameters", async () => {
  const answer: Answer = ({ line, body }, response, turn) => {
    if (turn === 0) {
      response.writeHead(503);
      return void response.end("later");
    }
    json(response, { line, body });
  };
  await withServer(answer, async ({ url, fetch, seen }) => {
    const client = ky.create({ prefixUrl: url, fetch, retry: { limit: 2, delay: () => 1 } });
    const got = await client.get("x", { searchParams: { a: 1 } }).json<{ line: string }>();
    assert.is(got.line, "GET /x?a=1");
    const posted = await client.post("y", { json: { a: 1 } }).json<{ body: string }>();
    assert.is(posted.body, '{"a":1}');
    assert.is(seen.length, 3);
  });
});

test("ky: its timeout aborts", async () => {
  await withServer(
    (_seen, response, turn) => turn === 0 ? json(response, 1) : undefined,
    async ({ url, fetch }) => {
      await ky.get(url, { fetch }).json();
      const error = await ky.get(url, { fetch, timeout: 20, retry: 0 }).catch((error) => error);
      assert.is(error.name, "TimeoutError");
    },
  );
});

test("ofetch: json there and back, and an error of the server", async () => {
  const answer: Answer = ({ line, body }, response) =>
    line.includes("bad") ? json(response, { why: "bad" }, 400) : json(response, { body });
  await withServer(answer, async ({ url, fetch }) => {
    const ofetch = createOfetch({ fetch, Headers, AbortController });
    assert.equal(await ofetch(url, { method: "POST", body: { a: 1 } }), { body: '{"a":1}' });
    const error = await ofetch(`${url}/bad`).catch((error) => error);
    assert.equal([error.status, error.data], [400, { why: "bad" }]);
  });
});

test("gaxios: json there and back", async () => {
  const answer: Answer = ({ line, body }, response) => json(response, { line, body });
  await withServer(answer, async ({ url, fetch }) => {
    const client = new Gaxios({ baseURL: url, fetchImplementation: fetch });
    const got = await client.request<{ line: string }>({ url: "/x", params: { a: 1 } });
    assert.is(got.data.line, "GET /x?a=1");
    const posted = await client.request<{ body: string }>({ url: "/y", method: "POST", data: { a: 1 } });
    assert.is(posted.data.body, '{"a":1}');
  });
});

test("stripe: a form there, json back", async () => {
  const answer: Answer = ({ body }, response) =>
    json(response, { id: "cus_1", object: "customer", description: body });
  await withServer(answer, async ({ port, fetch, seen }) => {
    const httpClient = Stripe.createFetchHttpClient(fetch);
    const client = new Stripe("sk_test", {
      httpClient,
      host: "127.0.0.1",
      port,
      protocol: "http",
      telemetry: false,
    });
    assert.is((await client.customers.create({ email: "a@b.c" })).description, "email=a%40b.c");
    assert.is((await client.customers.retrieve("cus_1")).id, "cus_1");
    assert.equal(seen.map(({ line }) => line), ["POST /v1/customers", "GET /v1/customers/cus_1"]);
  });
});

test.run();
