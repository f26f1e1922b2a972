import * as assert from "uvu/assert";
import { suite } from "../suite.ts";
const test = suite("failing");
test("passes", () => {});
test("fails", () => assert.is(1, 2));
test.run();
