import { ManualClock, socketConformance } from "../../src/testing.ts";
import { suite } from "../harness/suite.ts";
import { memoryHarness } from "./conformance_memory.ts";

const whole = suite("socket contract, memory");
socketConformance((name, body, needs) => whole.needs(needs, name, body), memoryHarness(new ManualClock()));
whole.run();

// The same promises where the system takes and gives a little at a time, and forgets what an RST overtakes.
const pieces = suite("socket contract, memory, in pieces");
const link = { windowBytes: 20_000, maxReadBytes: 4_999, maxWriteBytes: 7_001, resetOvertakesData: true };
socketConformance(
  (name, body, needs) => pieces.needs(needs, name, body),
  memoryHarness(new ManualClock(), link),
);
pieces.run();
