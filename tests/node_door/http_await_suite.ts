/**
 * Programs that wait for one event after another, by promises: Node's sockets close a turn of the loop behind what they say,
 * and so there is time between one event and the next to begin to wait for it.
 */
import http, { type ClientRequest, type IncomingMessage, type RequestOptions } from "@holdfast/agent/http";
import { once } from "node:events";
import { equal, is } from "uvu/assert";
import { suite } from "../harness/suite.ts";
import { type WireAnswer, withWireOrigin } from "./http_origin.ts";

const test = suite("http: events awaited one after another");

const PARTIAL = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc";

async function withRequest(
  answer: WireAnswer,
  options: RequestOptions,
  body: (req: ClientRequest) => Promise<void>,
): Promise<void> {
  await withWireOrigin(answer, async ({ port }) => {
    await body(http.get({ host: "127.0.0.1", port, agent: false, ...options }));
  });
}

/** Waits for each event in turn; resolves with the codes of the errors. */
async function inTurn(req: ClientRequest, ...events: string[]): Promise<unknown[]> {
  const codes: unknown[] = [];
  for (const event of events) {
    const [told] = await once(req, event);
    if (event === "error") codes.push((told as { code?: unknown }).code ?? (told as Error).message);
  }
  return codes;
}

const FAILURES: Record<string, WireAnswer> = {
  "a hang-up": (socket) => socket.end(),
  "garbage": (socket) => socket.write("garbage\r\n\r\n"),
};

for (const [name, answer] of Object.entries(FAILURES)) {
  test(`'error' and 'close' behind ${name}`, async () => {
    await withRequest(answer, {}, async (req) => {
      is((await inTurn(req, "error", "close")).length, 1);
    });
  });
}

test("'error' and 'close' of a connect that is refused", async () => {
  let port = 0;
  await withWireOrigin(() => {}, (origin) => Promise.resolve(void (port = origin.port)));
  equal(await inTurn(http.get({ host: "127.0.0.1", port }), "error", "close"), ["ECONNREFUSED"]);
});

test("a rejected once() and 'close', where a signal aborts", async () => {
  const control = new AbortController();
  await withRequest(() => control.abort(), { signal: control.signal }, async (req) => {
    const failed = await once(req, "response").catch((error: Error) => error);
    is((failed as { code?: unknown }).code, "ABORT_ERR");
    await once(req, "close");
  });
});

test("'error' and 'close' of a request destroyed with an error", async () => {
  await withRequest((_socket) => {}, { timeout: 20 }, async (req) => {
    req.once("timeout", () => req.destroy(new Error("too slow")));
    equal(await inTurn(req, "error", "close"), ["too slow"]);
  });
});

test("'timeout' and 'error' of a request destroyed by its listener", async () => {
  await withRequest((_socket) => {}, { timeout: 20 }, async (req) => {
    req.once("timeout", () => req.destroy());
    equal(await inTurn(req, "timeout", "error"), ["ECONNRESET"]);
  });
});

test("'abort' and 'error' of a request with a connection", async () => {
  await withRequest((_socket) => {}, {}, async (req) => {
    await once(req, "finish");
    setTimeout(() => req.abort(), 10);
    equal(await inTurn(req, "abort", "error"), ["ECONNRESET"]);
  });
});

test("'response' and what its listener's destroy() brings", async () => {
  await withRequest((socket) => socket.write(PARTIAL), {}, async (req) => {
    req.once("response", () => req.destroy());
    const [response] = await once(req, "response") as [IncomingMessage];
    equal(await inTurn(response as unknown as ClientRequest, "error"), ["ECONNRESET"]);
  });
});

test("'response' and the end of what was cut short with it", async () => {
  await withRequest((socket) => socket.end(PARTIAL), {}, async (req) => {
    const [response] = await once(req, "response") as [IncomingMessage];
    response.resume();
    equal(await inTurn(response as unknown as ClientRequest, "error"), ["ECONNRESET"]);
  });
});

test("'error' of the request and 'error' of the response behind a chunk that is none", async () => {
  const chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n";
  let breakIt = (): void => {};
  const answer: WireAnswer = (socket) => {
    socket.write(chunked);
    breakIt = () => void socket.write("zz\r\n");
  };
  await withRequest(answer, {}, async (req) => {
    const [response] = await once(req, "response") as [IncomingMessage];
    response.resume();
    breakIt();
    equal(await inTurn(req, "error"), ["HPE_INVALID_CHUNK_SIZE"]);
    equal(await inTurn(response as unknown as ClientRequest, "error"), ["ECONNRESET"]);
  });
});

test("destroy() in an 'error' listener tells nothing more, with an error or without", async () => {
  for (const reason of [undefined, new Error("mine")]) {
    await withRequest((socket) => socket.write("garbage\r\n\r\n"), {}, async (req) => {
      const errors: Error[] = [];
      req.on("error", (error) => {
        errors.push(error);
        is(req.destroyed, false);
        req.destroy(reason);
      });
      await new Promise((resolve) => req.on("close", resolve));
      await new Promise((resolve) => setTimeout(resolve, 10));
      is(errors.length, 1);
    });
  }
});

test.run();
