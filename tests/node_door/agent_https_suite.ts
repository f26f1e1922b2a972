import * as https from "node:https";
import * as net from "node:net";
import type { AddressInfo } from "node:net";
import * as tls from "node:tls";
import * as assert from "uvu/assert";
import { Agent, type AgentOptions, HttpsAgent } from "@holdfast/agent";
import * as face from "@holdfast/agent/https";
import { ca, good, otherCa, wrongHost } from "../certs/certs.ts";
import { type Listening, listening } from "../harness/listening.ts";
import { suite } from "../harness/suite.ts";
import { nodeCapabilities } from "../../src/runtime/node_capabilities.ts";
import { pause, until } from "./door_origin.ts";

const test = suite("HttpsAgent");

function secureOrigin(identity: { cert: string; key: string } = good): Promise<Listening> {
  const server = https.createServer(identity, (_request, response) => void response.end("secret"));
  server.keepAliveTimeout = 0;
  return listening(server);
}

interface Answer {
  readonly body: string;
  readonly code: string | undefined;
  readonly reused: boolean;
}

function get(options: https.RequestOptions): Promise<Answer> {
  return new Promise((resolve) => {
    const request = https.get({ host: "localhost", ...options }, async (response) => {
      let body = "";
      for await (const chunk of response) body += chunk;
      resolve({ body, code: undefined, reused: request.reusedSocket });
    });
    request.on("error", (error: Error & { code?: string }) => {
      resolve({ body: "", code: error.code, reused: false });
    });
  });
}

async function own(agent: Agent, port: number, host = "localhost"): Promise<Answer> {
  try {
    const { body, reusedSocket } = await agent.request(`https://${host}:${port}/`);
    return { body: await body.text(), code: undefined, reused: reusedSocket };
  } catch (error) {
    return { body: "", code: (error as { code?: string }).code, reused: false };
  }
}

test("own and foreign requests share verified connections", async () => {
  const one = await secureOrigin();
  const agent = new HttpsAgent({ keepAlive: true, ca });
  const answers: Answer[] = [];
  for (const how of ["foreign", "own", "foreign", "own"]) {
    answers.push(how === "own" ? await own(agent, one.port) : await get({ port: one.port, agent }));
    await until(() => Object.keys(agent.sockets).length === 0);
  }
  assert.equal(answers.map(({ body, reused }) => [body, reused]), [
    ["secret", false],
    ["secret", true],
    ["secret", true],
    ["secret", true],
  ]);
  assert.is(one.accepted, 1);
  const [name] = Object.keys(agent.freeSockets);
  assert.is(name, agent.getName({ host: "localhost", port: one.port, ca } as never));
  agent.destroy();
  await one.close();
});

for (
  const [what, identity, options, code] of [
    ["an unknown authority", good, { ca: otherCa }, undefined],
    ["another host's certificate", wrongHost, { ca }, "ERR_TLS_CERT_ALTNAME_INVALID"],
  ] as const
) {
  test(`${what} fails own and foreign requests`, async () => {
    const one = await secureOrigin(identity);
    const agent = new HttpsAgent({ keepAlive: true, ...options });
    const codes = [(await own(agent, one.port)).code, (await get({ port: one.port, agent })).code];
    for (const seen of codes) {
      assert.ok(code === undefined ? seen !== undefined : seen === code, String(seen));
    }
    await until(() => agent.totalSocketCount === 0);
    agent.destroy();
    await one.close();
  });
}

test("requests that verify differently never share a connection", async () => {
  const one = await secureOrigin();
  const agent = new HttpsAgent({ keepAlive: true });
  const ask = async (options: https.RequestOptions): Promise<unknown[]> => {
    const { body, reused, code } = await get({ port: one.port, agent, ...options });
    await until(() => Object.keys(agent.sockets).length === 0);
    return [body, reused, code !== undefined];
  };
  const lax = { rejectUnauthorized: false };
  const check = { ca, checkServerIdentity: (): undefined => undefined };
  assert.equal(await ask(lax), ["secret", false, false]);
  assert.equal(await ask({ ca: otherCa }), ["", false, true]);
  assert.equal(await ask({ ca }), ["secret", false, false]);
  // Node's own name is the same for these two.
  assert.is(
    agent.getName({ host: "a", port: 1, ...check }),
    agent.getName({ host: "a", port: 1, ca } as never),
  );
  assert.equal(await ask(check), ["secret", false, false]);
  assert.equal(
    await ask({ ca, checkServerIdentity: () => Object.assign(new Error("never"), { code: "ENEVER" }) }),
    ["", false, true],
  );
  assert.equal(await ask({ ca, servername: "other.example" }), ["", false, true]);
  assert.equal(await ask(lax), ["secret", true, false]);
  assert.equal(await ask(check), ["secret", true, false]);
  assert.equal(await ask({ ca }), ["secret", true, false]);
  agent.destroy();
  await one.close();
});

test("a key that is rotated in agent.options is used from the next request on", async () => {
  const one = await secureOrigin();
  const agent = new HttpsAgent({ keepAlive: true, ca });
  assert.is((await own(agent, one.port)).body, "secret");
  agent.options["ca"] = otherCa;
  assert.ok((await own(agent, one.port)).code !== undefined);
  agent.options["ca"] = ca;
  assert.equal(await own(agent, one.port), { body: "secret", code: undefined, reused: true });
  agent.destroy();
  await one.close();
});

const plain = (options: AgentOptions): Agent => {
  const agent = new HttpsAgent(options);
  agent.createConnection = (of) => net.connect((of as { port: number }).port, "127.0.0.1");
  return agent;
};

test("an https request over a stream that is not encrypted is refused before a byte is written", async () => {
  let bytes = 0;
  const server = net.createServer((socket) => {
    socket.on("data", (chunk: Uint8Array) => bytes += chunk.length);
    socket.on("error", () => {});
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const agent = plain({ keepAlive: true });
  assert.is((await own(agent, port)).code, "ERR_TLS_REQUIRED");
  assert.is((await get({ port, agent })).code, "ERR_TLS_REQUIRED");
  await pause(10);
  assert.is(bytes, 0);
  assert.is(agent.totalSocketCount, 0);
  await new Promise((resolve) => server.close(resolve));
});

/** Whether each of so many requests, each over a connection of its own, resumed the session of the one before. */
async function resumed(
  agent: HttpsAgent,
  ask: typeof https.get,
  options: readonly https.RequestOptions[],
): Promise<unknown[]> {
  const result: unknown[] = [];
  for (const each of options) {
    result.push(
      await new Promise((resolve) => {
        const request = ask({ host: "localhost", ...each, agent }, (response) => {
          const { socket } = request as unknown as { socket: tls.TLSSocket };
          const isResumed = socket.isSessionReused();
          response.resume().on("close", () => resolve(isResumed));
        });
        request.on("error", (error: Error & { code?: string }) => resolve(error.code ?? error.message));
      }),
    );
    await until(() => agent.totalSocketCount === 0);
  }
  return result;
}

const { resumesSessions } = nodeCapabilities;
const DOORS: readonly [string, typeof https.get][] = [
  ["foreign requests", https.get],
  ["requests of the https face", face.get as unknown as typeof https.get],
];

for (const [what, ask] of DOORS) {
  test.needs(
    { resumesSessions },
    `${what} resume the last TLS session, as far as maxCachedSessions goes`,
    async () => {
      const [one, two] = [await secureOrigin(), await secureOrigin()];
      const ports = (...all: Listening[]): { port: number }[] => all.map(({ port }) => ({ port }));
      const outcomes = [];
      for (const maxCachedSessions of [undefined, 0, 1]) {
        const agent = new HttpsAgent({ ca, maxCachedSessions });
        outcomes.push(await resumed(agent, ask, ports(one, one, two, one)));
      }
      assert.equal(outcomes, [
        [false, true, false, true],
        [false, false, false, false],
        [false, true, false, false],
      ]);
      await Promise.all([one.close(), two.close()]);
    },
  );

  test.needs({ resumesSessions }, `${what} never resume a session that was verified otherwise`, async () => {
    const one = await secureOrigin();
    const { port } = one;
    const agent = new HttpsAgent();
    const lax = { port, rejectUnauthorized: false };
    const unchecked = { port, ca, checkServerIdentity: (): undefined => undefined };
    assert.equal(await resumed(agent, ask, [lax, unchecked, unchecked]), [false, false, true]);
    const strict = { port, ca, servername: "other.example" };
    assert.equal(await resumed(agent, ask, [strict, { port, ca }, { port, ca }]), [
      "ERR_TLS_CERT_ALTNAME_INVALID",
      false,
      true,
    ]);
    await one.close();
  });

  test.needs(
    { resumesSessions },
    `${what} have the name checked where a session could be resumed`,
    async () => {
      const one = await secureOrigin();
      const { port } = one;
      let refusal: Error | undefined;
      const checkServerIdentity = (): Error | undefined => refusal;
      const agent = new HttpsAgent({ ca, checkServerIdentity });
      assert.equal(await resumed(agent, ask, [{ port }, { port }]), [false, true]);
      refusal = Object.assign(new Error("Not any more"), { code: "ENEVER" });
      assert.equal(await resumed(agent, ask, [{ port }]), ["ENEVER"]);
      refusal = undefined;
      assert.equal(await resumed(agent, ask, [{ port }]), [false]);
      await one.close();
    },
  );
}

/** What a runtime's own TLS tells of its keys. */
async function hasKeyLog(): Promise<boolean> {
  const one = await secureOrigin();
  let lines = 0;
  const stream = tls.connect({ port: one.port, host: "localhost", ca, servername: "localhost" });
  stream.on("keylog", () => lines++);
  await new Promise((resolve) => stream.once("secureConnect", resolve));
  await pause(5);
  stream.destroy();
  await one.close();
  return lines > 0;
}
const keyLog = await hasKeyLog();

test.needs(
  { keyLog },
  "'keylog' tells each line of each connection, with its stream, own and foreign",
  async () => {
    const one = await secureOrigin();
    const agent = new HttpsAgent({ ca });
    const lines: string[] = [];
    const streams = new Set<unknown>();
    agent.on("keylog", (line: Uint8Array, stream: unknown) => {
      lines.push(new TextDecoder().decode(line));
      streams.add(stream);
    });
    assert.is((await own(agent, one.port)).body, "secret");
    assert.ok(lines.length >= 4, `${lines}`);
    for (const line of lines) {
      assert.match(
        line,
        /^(CLIENT|SERVER|EXPORTER)_[A-Z0-9_]+ [0-9a-f]{64} [0-9a-f]+\n$/,
      );
    }
    const before = lines.length;
    assert.is((await get({ port: one.port, agent })).body, "secret");
    assert.ok(lines.length > before);
    assert.is(streams.size, 2);
    for (const stream of streams) assert.instance(stream, tls.TLSSocket);
    agent.destroy();
    await one.close();
  },
);

test("a servername or a session of the wrong type fails the request and leaves no connection", async () => {
  const one = await secureOrigin();
  for (const options of [{ servername: 5 }, { session: 5 }]) {
    const agent = new HttpsAgent({ ca });
    const { code } = await get({ port: one.port, agent, ...options as object });
    assert.is(code, "ERR_INVALID_ARG_TYPE");
    assert.is(agent.totalSocketCount, 0);
  }
  await pause(10);
  assert.is(one.accepted, 0);
  await one.close();
});

test("createConnection that returns a TLSSocket carries https, own and foreign", async () => {
  const one = await secureOrigin();
  const agent = new HttpsAgent({ keepAlive: true });
  agent.createConnection = (of) => {
    const { port } = of as { port: number };
    return tls.connect({ port, host: "localhost", ca, servername: "localhost" });
  };
  assert.is((await get({ port: one.port, agent })).body, "secret");
  await until(() => Object.keys(agent.sockets).length === 0);
  assert.equal(await own(agent, one.port), { body: "secret", code: undefined, reused: true });
  agent.destroy();
  await one.close();
});

test("the runtime's own createConnection, called on it as mocks do, connects and is offered no session", async () => {
  const one = await secureOrigin();
  const agent = new HttpsAgent({ ca });
  const connect = https.Agent.prototype as unknown as {
    createConnection(this: unknown, options: object): tls.TLSSocket;
  };
  for (let turn = 0; turn < 2; turn++) {
    const stream = connect.createConnection.call(agent, {
      host: "localhost",
      port: one.port,
      ca,
      servername: "localhost",
      _agentKey: "a name that says less than what was verified",
    });
    await new Promise((resolve, reject) => stream.once("secureConnect", resolve).once("error", reject));
    assert.is(stream.isSessionReused(), false);
    stream.on("error", () => {});
    stream.destroy(new Error("given up"));
    await new Promise((resolve) => stream.once("close", resolve));
  }
  await one.close();
});

test("Agent's own requests speak TLS by the URL, and HttpsAgent's do not where it says http", async () => {
  const one = await secureOrigin();
  const agent = new Agent({ keepAlive: true, ca });
  assert.is((await own(agent, one.port)).body, "secret");
  assert.equal(await own(agent, one.port), { body: "secret", code: undefined, reused: true });
  assert.ok(agent.protocol === "http:" && new HttpsAgent().protocol === "https:");
  agent.destroy();
  await one.close();
});

test.run();
