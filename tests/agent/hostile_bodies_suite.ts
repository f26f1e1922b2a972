/** Bodies as a hostile server would send them: what they cost, and whom they hold up. */
import * as assert from "uvu/assert";
import { suite } from "../harness/suite.ts";
import { fixture, outcome } from "./memory_origin.ts";

const test = suite("hostile bodies");

const PIECES = 20_000;
/** A byte a chunk, each another than its neighbours. */
const DIGITS = Array.from({ length: PIECES }, (_, index) => String(index % 10));

function bytewise(): ReturnType<typeof fixture> & { whole: string } {
  const at = fixture();
  const chunks = DIGITS.map((digit) => `1\r\n${digit}\r\n`).join("");
  at.serve(
    "a",
    (peer) => void peer.send(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`),
  );
  return { ...at, whole: DIGITS.join("") };
}

test("a byte a chunk that nobody reads is kept as a few large pieces", async () => {
  const { agent, clock, whole } = bytewise();
  const { body } = await agent.request("http://a/");
  await clock.settle();
  const decoder = new TextDecoder();
  let pieces = 0;
  let text = "";
  for await (const piece of body) {
    pieces++;
    text += decoder.decode(piece);
  }
  assert.is(text, whole);
  assert.ok(pieces < PIECES / 1_000, `${pieces} pieces`);
});

test("short and long pieces come in their order, whenever they are asked for", async () => {
  const lengths = [1, 1, 3_000, 5, 1_023, 1_024, 1, 4_095, 2, 2, 9_000, 700, 700, 700, 700, 700, 700, 700];
  const parts = lengths.map((length, index) => String.fromCharCode(97 + index).repeat(length));
  for (const steps of [0, 1, 2, 5]) {
    const at = fixture();
    const chunks = parts.map((part) => `${part.length.toString(16)}\r\n${part}\r\n`).join("");
    at.serve(
      "a",
      (peer) => void peer.send(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunks}0\r\n\r\n`),
    );
    const { body } = await at.agent.request("http://a/");
    const iterator = body[Symbol.asyncIterator]();
    const decoder = new TextDecoder();
    let text = "";
    for (let step = 0; step < steps; step++) text += decoder.decode((await iterator.next()).value);
    await at.clock.settle();
    for (let step = await iterator.next(); !step.done; step = await iterator.next()) {
      text += decoder.decode(step.value);
    }
    assert.is(text, parts.join(""));
  }
});

for (const [bytes, connections] of [[100_000, 1], [131_072, 1], [131_073, 2], [10_000_000, 2]] as const) {
  test(`dump() of ${bytes} bytes, and another request: connections: ${connections}`, async () => {
    const at = fixture();
    const listener = at.serve("a", (peer, head) => {
      const length = head.startsWith("GET /body") ? bytes : 0;
      peer.send(`HTTP/1.1 200 OK\r\nContent-Length: ${length}\r\n\r\n${"x".repeat(length)}`);
    });
    const { body } = await at.agent.request("http://a/body");
    await at.clock.until(body.dump());
    await at.clock.until((await at.clock.until(at.agent.request("http://a/"))).body.dump());
    assert.is(listener.accepted, connections);
    assert.is(body.bodyUsed, true);
  });
}

test("dump() does not wait for the end of a body that has none", async () => {
  const at = fixture();
  const chunk = `8000\r\n${"x".repeat(0x8000)}\r\n`;
  at.serve(
    "a",
    (peer) => void peer.send(`HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n${chunk.repeat(5)}`),
  );
  const { body } = await at.agent.request("http://a/");
  assert.is(await outcome(at.clock, body.dump()), undefined);
  assert.is(at.agent.stats().active, 0);
});

test.run();
