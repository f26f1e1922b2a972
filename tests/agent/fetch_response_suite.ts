/** A Response of our fetch beside one that the runtime's own constructor made: what is done with the one, the other does. */
import * as assert from "uvu/assert";
import { Agent } from "@holdfast/agent";
import { servesResponses } from "../../src/runtime/mod.ts";
import { suite } from "../harness/suite.ts";
import { fixture, ok } from "./memory_origin.ts";

const test = suite("a Response of fetch");

/** What is done with a Response, one after the other. */
const USES: Readonly<Record<string, (response: Response) => Promise<unknown>>> = {
  "text()": async (response) => [await response.text(), response.bodyUsed],
  "json()": async (response) => [await response.json(), response.bodyUsed],
  "arrayBuffer()": async (response) => (await response.arrayBuffer()).byteLength,
  "blob()": async (response) => {
    const blob = await response.blob();
    return [blob.type.split(";", 1), await blob.text()];
  },
  "every other method": async (response) => {
    const known = ["constructor", "clone", "text", "json", "arrayBuffer", "blob", "formData"];
    const names = Object.getOwnPropertyNames(Response.prototype).filter((name) => !known.includes(name));
    const methods = names.filter((name) =>
      typeof Object.getOwnPropertyDescriptor(Response.prototype, name)!.value === "function"
    );
    const results: unknown[] = [];
    for (const name of methods) {
      const of = response.clone() as unknown as Record<string, () => Promise<{ length?: number }>>;
      results.push(name, (await of[name]!()).length);
    }
    await response.text();
    return results;
  },
  "text() twice": async (response) => [await response.text(), await refusal(response.text())],
  "text() twice at once": async (response) => {
    const both = [response.text(), refusal(response.json())];
    return [response.bodyUsed, await Promise.all(both)];
  },
  "text(), then body": async (response) => {
    const { body } = response;
    return [await response.text(), body === response.body, body!.locked, response.bodyUsed];
  },
  "body after text()": async (response) => {
    await response.text();
    const { body } = response;
    return [body !== null, body!.locked, body === response.body, await refusal(response.blob())];
  },
  "body, then text()": async (response) => {
    const reader = response.body!.getReader();
    const locked = await refusal(response.text());
    await reader.cancel();
    return [locked, response.bodyUsed];
  },
  "clone()": async (response) => {
    const clone = response.clone();
    const again = clone.clone();
    return [await response.text(), await clone.text(), await again.json(), again.headers.get("x-a")];
  },
  "clone() after text()": async (response) => {
    await response.text();
    return await refusal(Promise.resolve().then(() => response.clone()));
  },
  "headers": async (response) => {
    const { headers } = response;
    headers.append("x-a", "2");
    await response.text();
    return [headers === response.headers, headers.get("x-a"), headers.getSetCookie()];
  },
  "new Response()": async (response) => {
    const copy = new Response(response.body, response);
    return [copy.status, copy.statusText, copy.headers.get("x-a"), await copy.json()];
  },
  "cancel()": async (response) => {
    await response.body!.cancel();
    return [response.bodyUsed, await refusal(response.text())];
  },
};

async function refusal(promise: Promise<unknown>): Promise<unknown> {
  try {
    return ["no failure", await promise];
  } catch (error) {
    return error instanceof TypeError ? "TypeError" : String(error);
  }
}

for (const [name, use] of Object.entries(USES)) {
  test(`a Response does as the runtime's own: ${name}`, async () => {
    const fields = ["X-A: 1", "Content-Type: application/json", "Set-Cookie: a=1", "Set-Cookie: b=2"];
    const own = new Response('{"a":1}', { status: 200, statusText: "OK" });
    for (const field of fields) own.headers.append(...field.split(": ") as [string, string]);
    const expected = await use(own);
    for (const isLate of [false, true]) {
      const at = fixture();
      at.serve("a", async (peer) => {
        const whole = ok('{"a":1}', ...fields);
        if (!isLate) return void peer.send(whole);
        const end = whole.length - 4;
        peer.send(whole.slice(0, end));
        await new Promise<void>((resolve) => at.clock.after(10, resolve));
        peer.send(whole.slice(end));
      });
      const response = await at.clock.until(at.agent.fetch("http://a/x"));
      assert.equal(await at.clock.until(use(response)), expected, isLate ? "late" : "whole");
      assert.equal([response.url, response.type, response.ok], ["http://a/x", "basic", true]);
      at.agent.destroy();
      await at.clock.advance(20);
      assert.equal([at.network.sockets.size, at.clock.pending], [0, 0]);
    }
  });
}

/** The servers that take a Response. */
interface Serving {
  readonly Deno?: {
    serve(
      options: { port: number; hostname: string; onListen(): void },
      handler: () => Promise<Response>,
    ): { readonly addr: { readonly port: number }; shutdown(): Promise<void> };
  };
  readonly Bun?: {
    serve(options: { port: number; hostname: string; fetch(): Promise<Response> }): {
      readonly port: number;
      stop(closes: boolean): Promise<void>;
    };
  };
}

test.needs({ servesResponses }, "a Response may be given to the runtime's own server", async () => {
  const at = fixture();
  at.serve("a", (peer) => void peer.send(ok("from afar", "X-A: 1")));
  const { Deno, Bun } = globalThis as unknown as Serving;
  const handler = (): Promise<Response> => at.clock.until(at.agent.fetch("http://a/"));
  const hostname = "127.0.0.1";
  const server = Bun?.serve({ port: 0, hostname, fetch: handler });
  const other = server === undefined
    ? Deno!.serve({ port: 0, hostname, onListen: () => {} }, handler)
    : undefined;
  const agent = new Agent();
  const { body, headers } = await agent.request(`http://${hostname}:${server?.port ?? other!.addr.port}/`);
  assert.equal([await body.text(), headers["x-a"]], ["from afar", "1"]);
  await agent.close();
  await server?.stop(true);
  await other?.shutdown();
  at.agent.destroy();
});

test.run();
