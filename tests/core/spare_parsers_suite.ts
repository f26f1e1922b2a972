import * as assert from "uvu/assert";
import type { ResponseParser } from "../../src/agent/core/response_parser.ts";
import { SpareParsers } from "../../src/agent/core/spare_parsers.ts";
import { suite } from "../harness/suite.ts";
import { LogSink } from "./parser_log.ts";

const test = suite("SpareParsers");

function answered(parsers: SpareParsers): ResponseParser {
  const parser = parsers.take();
  parser.start("GET");
  parser.parse(new TextEncoder().encode("HTTP/1.1 204 No Content\r\nX: 1\r\n\r\n"), new LogSink());
  parsers.giveBack(parser);
  return parser;
}

function answeredTwice(parsers: SpareParsers): ResponseParser {
  answered(parsers);
  return answered(parsers);
}

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
  const parser = answeredTwice(a);
  assert.ok(b.take() === parser);
  assert.equal([a.heads.matched === undefined, b.heads.matched === undefined], [false, true]);
});

test("lets the first head of an origin go, and remembers from the second on", () => {
  const parsers = new SpareParsers();
  parsers.enter();
  answered(parsers);
  assert.is(parsers.heads.matched, undefined);
  answered(parsers);
  const guess = parsers.heads.matched;
  assert.ok(guess !== undefined);
  parsers.leave();
  parsers.enter();
  answered(parsers);
  assert.is(parsers.heads.matched, undefined, "it was forgotten with the last connection");
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
