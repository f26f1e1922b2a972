import * as assert from "uvu/assert";
import { SpareParsers } from "../../src/agent/core/spare_parsers.ts";
import { suite } from "../harness/suite.ts";

const test = suite("SpareParsers");

test("gives what came back last, and makes what is missing", () => {
  const parsers = new SpareParsers();
  parsers.enter();
  const [one, two] = [parsers.take(), parsers.take()];
  assert.ok(one !== two);
  parsers.giveBack(one);
  parsers.giveBack(two);
  assert.ok(parsers.take() === two);
  assert.ok(parsers.take() === one);
  assert.ok(![one, two].includes(parsers.take()));
});

test("takes no parser back that is in the midst of a response", () => {
  const parsers = new SpareParsers();
  parsers.enter();
  const parser = parsers.take();
  parser.start("GET");
  parsers.giveBack(parser);
  assert.ok(parsers.take() !== parser);
});

test("keeps 16, and none where nobody is left", () => {
  const parsers = new SpareParsers();
  parsers.enter();
  parsers.enter();
  const many = Array.from({ length: 40 }, () => parsers.take());
  for (const parser of many) parsers.giveBack(parser);
  const again = Array.from({ length: 40 }, () => parsers.take());
  assert.is(again.filter((parser) => many.includes(parser)).length, 16);
  parsers.leave();
  parsers.giveBack(many[0]!);
  parsers.leave();
  assert.ok(parsers.take() !== many[0]);
  parsers.giveBack(many[1]!);
  assert.ok(parsers.take() !== many[1]);
});

test.run();
