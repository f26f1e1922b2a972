/** The one Deno.test file: `deno test tests/smoke_deno.ts`, and over the emitted package on Node, by dnt and the gate. */
import { SocketError } from "../mod.ts";

declare const Deno: { test(name: string, body: () => Promise<void> | void): void };

Deno.test("the package imports", () => {
  if (new SocketError("x", { code: "ECONNRESET", phase: "open" }).code !== "ECONNRESET") {
    throw new Error("no code");
  }
});
