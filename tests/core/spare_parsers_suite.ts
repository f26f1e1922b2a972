import * as assert from "uvu/assert";
import { SpareParsers } from "../../src/agent/core/spare_parsers.ts";
import { suite } from "../harness/suite.ts";
import { LogSink } from "./parser_log.ts";

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

test("lends another origin's parser, which reads by this origin's heads", () => {
  const [a, b] = [new SpareParsers(), new SpareParsers()];
  const parser = a.take();
  parser.start("GET");
  parser.parse(new TextEncoder().encode("HTTP/1.1 204 No Content\r\nX: 1\r\n\r\n"), new LogSink());
  a.giveBack(parser);
  assert.ok(b.take() === parser);
  assert.equal([a.heads.matched === undefined, b.heads.matched === undefined], [false, true]);
});

test("takes no parser back that is in the midst of a response", () => {
  const parsers = new SpareParsers();
  parsers.enter();
  const parser = parsers.take();
  parser.start("GET");
  parsers.giveBack(parser);
  assert.ok(parsers.take() !== parser);
});

test("keeps 64 for all origins, and an origin's heads for as long as it has a connection", () => {
  const parsers = new SpareParsers();
  parsers.enter();
  parsers.enter();
  const { heads } = parsers;
  const many = Array.from({ length: 100 }, () => parsers.take());
  for (const parser of many) parsers.giveBack(parser);
  const again = Array.from({ length: 100 }, () => parsers.take());
  assert.is(again.filter((parser) => many.includes(parser)).length, 64);
  parsers.leave();
  assert.ok(parsers.heads === heads);
  parsers.leave();
  assert.ok(parsers.heads !== heads);
});

test.run();
