import * as assert from "uvu/assert";
import { compare, compareKeepAlive, LlhttpReader } from "../fuzz/codec_compare.ts";
import type { ProtocolError } from "../../src/agent/core/errors.ts";
import { ResponseParser } from "../../src/agent/core/response_parser.ts";
import { suite } from "../harness/suite.ts";
import { readFixtures } from "./fixtures.ts";
import { LogSink, parserLog, type RunOptions } from "./parser_log.ts";

const test = suite("ResponseParser fixtures");
const fixtures = readFixtures();
const reader = new LlhttpReader();

test("there are at least 150, each with a name of its own", () => {
  assert.ok(fixtures.length >= 150, `${fixtures.length}`);
  assert.is(new Set(fixtures.map((fixture) => fixture.name)).size, fixtures.length);
});

/** What a parser throws at these chunks, and the offset of the chunk that it threw at; undefined: nothing. */
function faultOf(
  chunks: readonly Uint8Array[],
  { method = "GET", limits, start }: RunOptions,
): { error: ProtocolError; chunkStart: number; chunk: Uint8Array } | undefined {
  const parser = new ResponseParser(limits);
  const sink = new LogSink();
  parser.start(method, start);
  let chunkStart = 0;
  for (const chunk of chunks) {
    try {
      parser.parse(chunk, sink);
    } catch (error) {
      return { error: error as ProtocolError, chunkStart, chunk };
    }
    chunkStart += chunk.length;
  }
  return undefined;
}

/** Of a field: found at the head's end, so that its bytes may lie in earlier chunks. */
const FRAMING_FAULT = /CONTENT_LENGTH|TRANSFER_ENCODING/;

for (const { name, message, options } of fixtures) {
  const whole = faultOf([message], options);
  if (whole === undefined) continue;
  test(`${name}: stops at the same byte whatever the cut`, () => {
    const stop = whole.error.bytesParsed;
    assert.equal(whole.error.rawPacket, new Uint8Array(message));
    for (let cut = 1; cut < message.length; cut++) {
      const { error, chunkStart, chunk } = faultOf(
        [message.subarray(0, cut), message.subarray(cut)],
        options,
      )!;
      assert.equal(error.rawPacket, new Uint8Array(chunk));
      const isBefore = FRAMING_FAULT.test(error.code) && stop < chunkStart;
      assert.is(
        isBefore ? error.bytesParsed : error.bytesParsed + chunkStart,
        isBefore ? 0 : stop,
        `cut at ${cut}`,
      );
    }
  });
}

for (const { name, message, options, log, differs } of fixtures) {
  test(name, () => {
    assert.is(parserLog([message], options), log, "whole");
    const bytes = Array.from(message, (_, at) => message.subarray(at, at + 1));
    assert.is(parserLog(bytes, options), log, "byte by byte");
    for (let cut = 1; cut < message.length; cut++) {
      assert.is(parserLog([message.subarray(0, cut), message.subarray(cut)], options), log, `cut at ${cut}`);
    }
  });

  if (options.start !== undefined || name.startsWith("limits.md")) continue;
  test(`${name}: llhttp ${differs === undefined ? "agrees" : `differs: ${differs}`}`, () => {
    const finding = compare(reader, message, options, true);
    if (differs !== undefined) return;
    assert.is(finding, undefined);
    if (log.split("\n").includes("complete")) {
      assert.is(compareKeepAlive(reader, message, options), undefined, "keep-alive");
    }
  });
}

test.run();
