import * as assert from "uvu/assert";
import { compare, compareKeepAlive, LlhttpReader } from "../fuzz/codec_compare.ts";
import { suite } from "../harness/suite.ts";
import { readFixtures } from "./fixtures.ts";
import { parserLog } from "./parser_log.ts";

const test = suite("ResponseParser fixtures");
const fixtures = readFixtures();
const reader = new LlhttpReader();

test("there are at least 150, each with a name of its own", () => {
  assert.ok(fixtures.length >= 150, `${fixtures.length}`);
  assert.is(new Set(fixtures.map((fixture) => fixture.name)).size, fixtures.length);
});

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
