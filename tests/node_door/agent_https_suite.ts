import * as https from "node:https";
import * as net from "node:net";
import type { AddressInfo } from "node:net";
import * as tls from "node:tls";
import * as assert from "uvu/assert";
import { Agent, type AgentOptions, HttpsAgent } from "@holdfast/agent";
import { ca, good, otherCa, wrongHost } from "../certs/certs.ts";
import { suite } from "../harness/suite.ts";
import { pause, until } from "./door_origin.ts";

const test = suite("HttpsAgent");

interface SecureOrigin {
  readonly port: number;
  readonly accepted: number;
  close(): Promise<void>;
}

async function secureOrigin(identity: { cert: string; key: string } = good): Promise<SecureOrigin> {
  const sockets = new Set<net.Socket>();
  let accepted = 0;
  const server = https.createServer(identity, (_request, response) => void response.end("secret"));
  server.keepAliveTimeout = 0;
  server.on("connection", (socket) => {
    accepted++;
    sockets.add(socket);
    socket.on("error", () => {});
    socket.on("close", () => void sockets.delete(socket));
  });
  server.on("tlsClientError", () => {});
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    port: (server.address() as AddressInfo).port,
    get accepted() {
      return accepted;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
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
