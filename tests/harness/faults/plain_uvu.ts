import { suite } from "uvu";
const test = suite("not ours");
test("is made by uvu itself", () => {});
test.run();
