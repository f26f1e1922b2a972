/**
 * The seed of every random test: the same in each run of the gate, so that what it says of a change is said of the change.
 * `HOLDFAST_SEED=7 npm test -- core/` tries another; what that finds becomes a test of its own.
 */
import process from "node:process";
import fc from "fast-check";

/** From 0 to 2^31 - 1. */
export const SEED: number = Number(process.env["HOLDFAST_SEED"] ?? 20_261_120);

fc.configureGlobal({ seed: SEED });
