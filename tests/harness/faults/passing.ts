import { suite } from "../suite.ts";
const test = suite("passing");
test("passes", () => {});
test.needs({ flies: false }, "needs a capability that nobody has", () => {
  throw new Error("was run");
});
test.needs({ walks: true }, "needs a capability that is there", () => {});
test.run();
