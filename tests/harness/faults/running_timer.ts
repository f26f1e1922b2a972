import { suite } from "../suite.ts";
const test = suite("running timer");
test("leaves a timer that holds the process", () => {
  setInterval(() => {}, 1_000);
});
test.run();
