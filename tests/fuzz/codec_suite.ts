import * as assert from "uvu/assert";
import { suite } from "../harness/suite.ts";
import { FuzzSession } from "./codec_session.ts";

const test = suite("codec fuzz");

test("llhttp agrees and cuts change nothing, 20,000 messages of one seed", () => {
  const session = new FuzzSession(20_260_101);
  for (let i = 0; i < 20_000; i++) assert.is(session.step(), undefined);
  // So that a fuzzer that makes nothing but rubbish shows.
  assert.ok(session.complete > 1_000, `${session.complete} complete`);
});

test("what was read before changes nothing, 5,000 messages of one seed in eight variants", () => {
  const session = new FuzzSession(20_260_102);
  for (let i = 0; i < 5_000; i++) assert.is(session.templateStep(), undefined);
});

test.run();
