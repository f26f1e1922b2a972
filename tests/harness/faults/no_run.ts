import { suite } from "../suite.ts";
const test = suite("no run");
test("is never run", () => {});
