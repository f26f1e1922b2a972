/** The process's uncaught exceptions, for tests of what becomes of an error that a handler throws. */
import process from "node:process";

/** Gives them to `take`, and to nobody else, until the function returned is called. */
export function takeUncaught(take: (error: unknown) => void): () => void {
  const others = process.listeners("uncaughtException");
  process.removeAllListeners("uncaughtException");
  process.on("uncaughtException", take);
  return () => {
    process.off("uncaughtException", take);
    for (const other of others) process.on("uncaughtException", other);
  };
}
