/**
 * uvu's suite with what the gate needs on top: each test is raced against a timer (uvu has none), whatever is
 * thrown becomes an Error (uvu formats `err.stack` and dies on anything else), and a test may name the capability
 * that it needs, which is the only way to leave one out.
 */
import { suite as uvuSuite } from "uvu";

/** Longest time that one test may take, ms. */
const TEST_TIMEOUT_MS = 30_000;

/** What the runner reads once the file's suites have run. */
export interface Registry {
  /** Tests given to a suite of this file. */
  registered: number;
  /** Capability flag -> names of the tests left out for want of it. */
  skipped: Map<string, string[]>;
  /** What hooks threw: uvu counts the suite's tests as not run and says no more. */
  hookErrors: string[];
}

/** One per process: the runner runs one file in a process. */
export const registry: Registry = { registered: 0, skipped: new Map(), hookErrors: [] };

/** A test's body. */
export type TestBody = () => void | Promise<void>;

/** A named group of tests; `run()` is its last call. */
export interface Suite {
  /** Adds a test. */
  (name: string, body: TestBody): void;
  /** Adds a test that runs only where `flag` is true; where it is not, the skip is counted under the flag's name. */
  needs(flags: Readonly<Record<string, boolean>>, name: string, body: TestBody): void;
  /** Runs once before the first test. */
  before(body: TestBody): void;
  /** Runs once after the last test. */
  after(body: TestBody): void;
  /** Runs around each test. */
  beforeEach(body: TestBody): void;
  /** Runs after each test, failed or not. */
  afterEach(body: TestBody): void;
  /** Hands the suite to the runner. */
  run(): void;
}

/** Makes a suite. */
export function suite(name: string): Suite {
  const inner = uvuSuite(name);
  const add = (testName: string, body: TestBody): void => {
    registry.registered++;
    inner(testName, () => raced(testName, body));
  };
  return Object.assign(add, {
    needs(flags: Readonly<Record<string, boolean>>, testName: string, body: TestBody): void {
      const missing = Object.keys(flags).find((flag) => !flags[flag]);
      if (missing === undefined) return add(testName, body);
      const names = registry.skipped.get(missing) ?? [];
      registry.skipped.set(missing, [...names, `${name}: ${testName}`]);
    },
    before: (body: TestBody): void => inner.before(() => hook("before", body)),
    after: (body: TestBody): void => inner.after(() => hook("after", body)),
    beforeEach: (body: TestBody): void => inner.before.each(() => hook("before each", body)),
    afterEach: (body: TestBody): void => inner.after.each(() => hook("after each", body)),
    run: (): void => inner.run(),
  });
}

async function hook(name: string, body: TestBody): Promise<void> {
  try {
    await raced(name, body);
  } catch (error) {
    registry.hookErrors.push(`In "${name}": ${(error as Error).stack}`);
    throw error;
  }
}

async function raced(name: string, body: TestBody): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new Error(`"${name}" took longer than ${TEST_TIMEOUT_MS} ms`)),
      TEST_TIMEOUT_MS,
    );
  });
  try {
    await Promise.race([body(), late]);
  } catch (error) {
    throw error instanceof Error
      ? error
      : new Error(`A test threw a value that is no Error: ${String(error)}`);
  } finally {
    clearTimeout(timer);
  }
}
