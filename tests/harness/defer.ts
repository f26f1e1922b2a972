/** Tells uvu, before it loads, that somebody else runs the suites; import it first. */
const uvuGlobals = globalThis as { UVU_DEFER?: number; UVU_INDEX?: number; UVU_QUEUE?: unknown[][] };
uvuGlobals.UVU_DEFER = 1;
uvuGlobals.UVU_INDEX = 0;
uvuGlobals.UVU_QUEUE = [[]];
