import { suite } from "../suite.ts";
const test = suite("throwing after each");
test.afterEach(() => {
  throw new Error("after each failed");
});
test("passes by itself", () => {});
test.run();
