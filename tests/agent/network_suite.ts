/** The whole way of a request over real sockets: the runtime's own adapter, and node:tls for https. */
import * as assert from "uvu/assert";
import { createServer, type RequestListener } from "node:http";
import { createServer as createSecureServer } from "node:https";
import { connect, createServer as createNetServer, type Server } from "node:net";
import http, { type ClientRequest } from "@holdfast/agent/http";
import https from "@holdfast/agent/https";
import { once } from "node:events";
import {
  Agent,
  type AgentOptions,
  HttpsAgent,
  type LookupFunction,
  type ResponseBody,
} from "@holdfast/agent";
import { adapterFor } from "../../src/runtime/mod.ts";
import { ca, expired, good, selfSigned, unknownCa, wrongHost } from "../certs/certs.ts";
import { type Listening, listening } from "../harness/listening.ts";
import { suite } from "../harness/suite.ts";

const test = suite("Agent over real sockets");

const echo: RequestListener = (request, response) => {
  const parts: Uint8Array[] = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    response.writeHead(200, { "content-type": "text/plain", "x-path": request.url });
    response.end(parts.length > 0 ? Buffer.concat(parts) : "nothing");
  });
};

async function withOrigin(server: Server, body: (origin: Listening) => Promise<void>): Promise<void> {
  const origin = await listening(server);
  try {
    await body(origin);
  } finally {
    await origin.close();
  }
}

async function withAgent(options: AgentOptions, body: (agent: Agent) => Promise<void>): Promise<void> {
  const agent = new Agent({ keepAlive: true, ...options });
  try {
    await body(agent);
  } finally {
    agent.destroy();
  }
}

test("200 requests, 20 at once, over 4 sockets", async () => {
  await withOrigin(createServer(echo), async (origin) => {
    await withAgent({ maxSockets: 4 }, async (agent) => {
      let left = 200;
      const work = async (): Promise<void> => {
        while (left-- > 0) {
          const { status, body } = await agent.request(`http://127.0.0.1:${origin.port}/`);
          assert.equal([status, await body.text()], [200, "nothing"]);
        }
      };
      await Promise.all(Array.from({ length: 20 }, work));
    });
    assert.equal([origin.accepted, origin.peak], [4, 4]);
  });
});

test("never more sockets than maxSockets where each is closed after its request", async () => {
  await withOrigin(createServer(echo), async (origin) => {
    await withAgent({ maxSockets: 3 }, async (agent) => {
      await Promise.all(Array.from({ length: 60 }, async () => {
        const headers = { connection: "close" };
        await (await agent.request(`http://127.0.0.1:${origin.port}/`, { headers })).body.dump();
      }));
    });
    assert.is(origin.accepted, 60);
    assert.ok(origin.peak <= 3, `${origin.peak} sockets were open at once`);
  });
});

/** Ways to come to a body: at once, some turns of the microtask queue later, and in another turn of the loop. */
const PAUSES: readonly (() => Promise<void>)[] = [
  () => Promise.resolve(),
  ...[1, 5, 7, 8, 9, 30].map((turns) => async () => {
    for (let i = 0; i < turns; i++) await undefined;
  }),
  () => new Promise((resolve) => setTimeout(resolve, 0)),
];

const BODY_READERS: readonly ((body: ResponseBody) => Promise<string>)[] = [
  (body) => body.text(),
  async (body) => new TextDecoder().decode(await body.bytes()),
  async (body) => {
    let all = "";
    await body.forEach((lent) => void (all += new TextDecoder().decode(lent)));
    return all;
  },
  async (body) => {
    let all = "";
    for await (const piece of body) {
      await new Promise((resolve) => setTimeout(resolve, 0));
      all += new TextDecoder().decode(piece);
    }
    return all;
  },
];

test("bodies of many connections at once are each their own, whenever and however they are read", async () => {
  const sizes = [100, 8_192, 60_000, 70_000, 200_000];
  const bodyOf = (id: number): string => String.fromCharCode(97 + id % 26).repeat(sizes[id % sizes.length]!);
  const server = createServer((request, response) => response.end(bodyOf(Number(request.url!.slice(1)))));
  await withOrigin(server, async (origin) => {
    await withAgent({ maxSockets: 20 }, async (agent) => {
      let id = 0;
      let wrong = 0;
      const work = async (): Promise<void> => {
        while (id < 640) {
          const own = id++;
          const { body } = await agent.request(`http://127.0.0.1:${origin.port}/${own}`);
          await PAUSES[own % PAUSES.length]!();
          const text = await BODY_READERS[Math.floor(own / PAUSES.length) % BODY_READERS.length]!(body);
          if (text !== bodyOf(own)) wrong++;
        }
      };
      await Promise.all(Array.from({ length: 20 }, work));
      assert.is(wrong, 0);
    });
  });
});

test("a body of 2 MiB goes there and comes back", async () => {
  const payload = new Uint8Array(2 * 1024 * 1024).map((_, index) => (index * 31 + (index >> 8)) & 0xff);
  await withOrigin(createServer(echo), async (origin) => {
    await withAgent({}, async (agent) => {
      const response = await agent.request(`http://localhost:${origin.port}/x`, {
        method: "PUT",
        body: payload,
      });
      assert.is(response.headers["x-path"], "/x");
      assert.equal(await response.body.bytes(), payload);
    });
  });
});

test("a port where nobody listens rejects with ECONNREFUSED", async () => {
  const origin = await listening(createServer(echo));
  await origin.close();
  await withAgent({}, async (agent) => {
    try {
      await agent.request(`http://127.0.0.1:${origin.port}/`);
      assert.unreachable();
    } catch (error) {
      assert.is((error as { code?: string }).code, "ECONNREFUSED");
    }
  });
});

test("https: verifies the server and reuses the connection", async () => {
  await withOrigin(createSecureServer(good, echo), async (origin) => {
    await withAgent({ ca }, async (agent) => {
      const reused: boolean[] = [];
      for (const host of ["localhost", "localhost", "127.0.0.1"]) {
        const { status, body, reusedSocket } = await agent.request(`https://${host}:${origin.port}/`);
        assert.equal([status, await body.text()], [200, "nothing"]);
        reused.push(reusedSocket);
      }
      assert.equal(reused, [false, true, false]);
    });
  });
});

for (const [name, pair] of Object.entries({ wrongHost, expired, selfSigned, unknownCa })) {
  test(`https: refuses the certificate ${name}, and the server sees no request`, async () => {
    let requests = 0;
    const server = createSecureServer(pair, (request, response) => {
      requests++;
      echo(request, response);
    });
    await withOrigin(server, async (origin) => {
      await withAgent({ ca }, async (agent) => {
        try {
          await agent.request(`https://localhost:${origin.port}/`, { method: "POST", body: "secret" });
          assert.unreachable("The request was sent");
        } catch (error) {
          const { code } = error as { code?: string };
          assert.ok(code !== undefined && /CERT|SIGNATURE|ISSUER/.test(code), `code is ${code}`);
        }
      });
    });
    assert.is(requests, 0);
  });
}

test("https: servername is sent", async () => {
  const server = createSecureServer(good, (request, response) => {
    response.end(String((request.socket as unknown as { servername?: string }).servername));
  });
  await withOrigin(server, async (origin) => {
    await withAgent({ ca }, async (agent) => {
      assert.is(await (await agent.request(`https://localhost:${origin.port}/`)).body.text(), "localhost");
    });
  });
});

test("rejectUnauthorized: false accepts what the user wants accepted", async () => {
  await withOrigin(createSecureServer(selfSigned, echo), async (origin) => {
    await withAgent({ rejectUnauthorized: false }, async (agent) => {
      const { status, body } = await agent.request(`https://localhost:${origin.port}/`);
      assert.equal([status, await body.text()], [200, "nothing"]);
    });
  });
});

for (const scheme of ["http", "https"] as const) {
  test(`an IPv6 address in brackets, ${scheme}: dialled, verified and named in Host, on every face`, async () => {
    const said: RequestListener = ({ headers, socket }, response) =>
      void response.end(`${headers.host} ${socket.remoteAddress}`);
    const server = await listening(
      scheme === "http" ? createServer(said) : createSecureServer(good, said),
      "::1",
    );
    const agent = scheme === "http"
      ? new Agent({ keepAlive: true })
      : new HttpsAgent({ keepAlive: true, ca });
    const url = `${scheme}://[::1]:${server.port}/`;
    const { request } = scheme === "http" ? http : https;
    const texts = [
      await (await agent.request(url)).body.text(),
      await (await agent.fetch(url)).text(),
      await answerTo(request(url, { agent: agent as never })),
      await answerTo(request({ host: "::1", port: server.port, agent: agent as never })),
    ];
    assert.equal(texts, Array(4).fill(`[::1]:${server.port} ::1`));
    agent.destroy();
    assert.is(server.accepted, 1);
    await server.close();
  });
}

async function answerTo(request: ClientRequest): Promise<string> {
  const answer = once(request, "response");
  request.end();
  const [response] = await answer;
  let text = "";
  for await (const chunk of response) text += chunk;
  return text;
}

test("timings: each stage in its order, the look-up where the adapter tells it", async () => {
  await withOrigin(createSecureServer(good, echo), async (origin) => {
    await withAgent({ ca }, async (agent) => {
      const url = `https://localhost:${origin.port}/`;
      const { capabilities } = adapterFor({ host: "localhost", port: origin.port, tls: { ca } });
      const response = await agent.request(url);
      await response.body.dump();
      const { queued, dns, connect, tls, sent, firstByte, end } = response.timings;
      assert.is(dns !== undefined, capabilities.tellsLookup);
      assertRising([0, queued, dns ?? queued, connect, tls, sent, firstByte, end]);
    });
  });
});

test("timings: what takes long is told as what it is", async () => {
  await withOrigin(createSecureServer(good, echo), async (origin) => {
    const relay = createRelay(origin.port, 60);
    await withOrigin(relay, async ({ port }) => {
      // Node's timers may be up to a millisecond early.
      const lookup: LookupFunction = (_name, { all }, done) =>
        void setTimeout(() => {
          if (all === true) done(null, [{ address: "127.0.0.1", family: 4 }]);
          else done(null, "127.0.0.1", 4);
        }, 40);
      for (const options of [{ ca }, { ca, lookup }]) {
        await withAgent(options as AgentOptions, async (agent) => {
          const response = await agent.request(`https://localhost:${port}/`);
          await response.body.dump();
          const { queued, dns, connect, tls } = response.timings;
          assert.ok(tls! - connect! >= 55, `TLS took ${tls! - connect!} ms`);
          if ("lookup" in options) assert.ok(dns! - queued! >= 35, `the look-up took ${dns! - queued!} ms`);
        });
      }
    });
  });
});

/** Passes bytes on to a port; the first answer on each connection comes `delayMs` late. */
function createRelay(port: number, delayMs: number): Server {
  return createNetServer((client) => {
    const origin = connect(port, "127.0.0.1");
    client.pipe(origin);
    origin.once("data", (first: Uint8Array) => {
      origin.pause();
      setTimeout(() => {
        client.write(first);
        origin.pipe(client);
      }, delayMs);
    });
    for (const [one, other] of [[client, origin], [origin, client]] as const) {
      one.on("error", () => {});
      one.on("close", () => other.destroy());
    }
  });
}

function assertRising(moments: readonly (number | undefined)[]): void {
  const text = moments.join(", ");
  assert.ok(moments.every((ms) => ms !== undefined), text);
  assert.ok(moments.every((ms, index) => index === 0 || ms! >= moments[index - 1]!), text);
}

test.run();
