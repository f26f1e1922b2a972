import { connect, createServer, type Socket } from "node:net";
import { suite } from "../suite.ts";
const test = suite("open socket");
test("leaves a connection open", async () => {
  const server = createServer((socket) => void socket.unref());
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as { port: number };
  await new Promise<Socket>((resolve) => {
    const socket = connect(port, "127.0.0.1", () => resolve(socket.unref()));
  });
  server.unref();
});
test.run();
