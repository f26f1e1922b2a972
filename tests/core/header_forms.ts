/** What the suites of the request serializer share. */
import * as assert from "uvu/assert";
import { decodeLatin1 } from "../../src/agent/core/latin1.ts";
import type { HeadersInput } from "../../src/agent/core/request_serializer.ts";

/** The code of the TypeError or RangeError that `run` throws. */
export function codeOf(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    assert.ok(error instanceof TypeError || error instanceof RangeError, String(error));
    return (error as unknown as { code: string }).code;
  }
  return "nothing thrown";
}

/** Bytes as text, one character each. */
export function text(bytes: Uint8Array): string {
  return decodeLatin1(bytes, 0, bytes.length);
}

/** The same headers in every form there is. */
export function formsOf(pairs: readonly (readonly [string, unknown])[]): HeadersInput[] {
  return [
    pairs,
    pairs.flat(),
    Object.fromEntries(pairs),
    new Map(pairs),
    {
      *[Symbol.iterator](): Generator<readonly [string, unknown]> {
        yield* pairs;
      },
    } as Iterable<readonly [string, unknown]>,
  ];
}
