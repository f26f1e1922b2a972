import { suite } from "../suite.ts";
const test = suite("thrown string");
test("throws a string", () => {
  throw "a string";
});
test.run();
