import { readFileSync } from "node:fs";
import * as net from "node:net";
import process from "node:process";
import * as assert from "uvu/assert";
import { adapters } from "../../src/runtime/mod.ts";
import { suite } from "../harness/suite.ts";
import { needsAdapter } from "./adapter_flags.ts";

const test = suite("traps of TRAPS.md that no other suite holds");

for (const name of ["node", "deno", "bun"] as const) {
  const adapter = adapters().find(({ capabilities }) => capabilities.adapter === name);
  const here = {
    ...needsAdapter(name),
    abstractSockets: process.platform === "linux",
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

test("TRAPS.md names a test for each trap, and each test that it names exists", () => {
  const rows = readFileSync("tests/runtime/TRAPS.md", "utf8").split("\n").filter((line) =>
    /^\| \d/.test(line)
  );
  const numbers = rows.map((row) => Number(/\d+/.exec(row)![0]));
  assert.equal(numbers, Array.from({ length: 21 }, (_, index) => index + 1));
  const absent = rows.flatMap((row) => {
    const cell = row.split(" | ")[2]!;
    const places = cell.split(/; (?=flag |\S+\.ts )/).filter((place) => !place.startsWith("flag "));
    return places.flatMap((place) => {
      const file = /^\S+/.exec(place)![0];
      const text = readFileSync(file.includes("/") ? file : `tests/runtime/${file}`, "utf8");
      const names = [...place.matchAll(/"([^"]+)"/g)].map((match) => match[1]!);
      return names.length === 0 ? [row] : names.filter((name) => !text.includes(name));
    });
  });
  assert.equal(absent, []);
});

test.run();
