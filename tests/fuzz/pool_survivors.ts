/**
 * Faults in the pool's files that neither the fuzz nor the checks of its parts can notice, each with the reason.
 *
 * @module
 */

/** A reason, and the faults it holds for, as tests/fuzz/pool_mutations.ts prints them. */
export const SURVIVORS: readonly (readonly [reason: string, faults: readonly string[]])[] = [];
