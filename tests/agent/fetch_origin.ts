/** What the suites of fetch share: an origin that keeps what it is asked, over the memory network. */
import type { Fixture } from "./memory_origin.ts";

/** Answers each request as `respond` says; keeps heads and bodies. */
export function origin(
  at: Fixture,
  respond: (head: string, turn: number) => string | Uint8Array,
  host = "a",
): { head: string; body: string }[] {
  const seen: { head: string; body: string }[] = [];
  at.serve(host, async (peer, head) => {
    const length = Number(/^content-length: (\d+)/im.exec(head)?.[1] ?? 0);
    let body = await peer.readBytes(length) ?? "";
    if (/^transfer-encoding: chunked/im.test(head)) body = await peer.readUntil("0\r\n\r\n") ?? "";
    seen.push({ head, body });
    peer.send(respond(head, seen.length - 1));
  });
  return seen;
}

/** The value of a field in a request's head. */
export function field(head: string, name: string): string | undefined {
  return new RegExp(`^${name}: (.*?)\\r$`, "im").exec(head)?.[1];
}

/** What a promise rejects with. */
export async function failure(
  promise: Promise<unknown>,
): Promise<{ code?: string; cause?: unknown; name: string }> {
  try {
    await promise;
  } catch (error) {
    return error as { name: string };
  }
  throw new Error("It did not fail");
}
