import { suite } from "../suite.ts";
const test = suite("unhandled rejection");
test("leaves a rejection behind", () => {
  Promise.reject(new Error("nobody listens"));
});
test.run();
