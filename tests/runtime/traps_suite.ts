import * as net from "node:net";
import process from "node:process";
import * as assert from "uvu/assert";
import { adapters } from "../../src/runtime/mod.ts";
import { suite } from "../harness/suite.ts";

const test = suite("traps of RUNTIMES.md that no other suite holds");

for (const name of ["node", "deno", "bun"]) {
  const adapter = adapters().find(({ capabilities }) => capabilities.adapter === name);
  const here = {
    [`${name} adapter`]: adapter !== undefined,
    "abstract sockets": process.platform === "linux",
  };

  // Trap 1: Node 20 binds another name than the one asked for, and dials the same other name.
  test.needs(here, `${name}: an abstract socket that this runtime bound is reached`, async () => {
    const path = `\0holdfast-${process.pid}-${name}`;
    const server = net.createServer((socket) => void socket.pipe(socket));
    await new Promise<void>((resolve, reject) => server.once("error", reject).listen(path, resolve));
    const text = await new Promise<string>((resolve, reject) => {
      const socket = adapter!.connect({ path }, {
        onOpen: () => void socket.write(new TextEncoder().encode("echo")),
        onData: (chunk) => {
          resolve(new TextDecoder().decode(chunk));
          socket.destroy();
        },
        onEnd: () => {},
        onDrain: () => {},
        onClose: (error) => reject(error ?? new Error("closed")),
      });
    });
    assert.is(text, "echo");
    await new Promise((resolve) => server.close(resolve));
  });
}

test.run();
