import { suite } from "../suite.ts";
const test = suite("throwing before");
test.before(() => {
  throw new Error("before failed");
});
test("is not reached", () => {});
test.run();
