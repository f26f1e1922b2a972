import { suite } from "../harness/suite.ts";
import { DEFECTS } from "./defects.ts";
import { ours } from "./our_kit.ts";

const test = suite("The defects of Node's Agent, which ours has not");

for (const { id, what, run } of DEFECTS) {
  test(`${id}: not that ${what}`, () => run(ours));
}

test.run();
