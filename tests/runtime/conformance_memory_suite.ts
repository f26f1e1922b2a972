import { suite } from "../harness/suite.ts";
import { ManualClock, socketConformance } from "../../src/testing.ts";
import { memoryHarness } from "./conformance_memory.ts";

const test = suite("socket contract, memory");
socketConformance((name, body, needs) => test.needs(needs, name, body), memoryHarness(new ManualClock()));
test.run();
