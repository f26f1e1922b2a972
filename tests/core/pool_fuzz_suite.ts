import { PoolCore } from "../../src/agent/core/pool.ts";
import { fuzzPool } from "./pool_fuzz.ts";
import { SEED } from "../harness/seed.ts";
import { suite } from "../harness/suite.ts";

const test = suite("PoolCore under random steps");

test("does what the naive model does, 100,000 times", () => {
  fuzzPool((limits) => new PoolCore(limits), SEED, 100_000);
});

test.run();
