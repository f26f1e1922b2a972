import { createDialer } from "../../src/runtime/dial.ts";
import { connectNode, lookupNode, nodeCapabilities } from "../../src/runtime/node.ts";
import type { Connect } from "../../src/runtime/socket.ts";
import { socketConformance } from "../../src/testing.ts";
import { ca } from "../certs/certs.ts";
import { suite } from "../harness/suite.ts";
import { realServers } from "./conformance_servers.ts";

const test = suite("socket contract, dialled over node");

const dial = createDialer({
  connect: connectNode,
  tellsTransport: true,
  capabilities: nodeCapabilities,
  lookup: lookupNode,
});

/** By name, so that every test is a race: of ::1, where nobody listens, and 127.0.0.1. */
const connect: Connect = (options, handler) =>
  dial(options.host === "127.0.0.1" ? { ...options, host: "localhost" } : options, handler);

// The part over TLS is dialled by name in the node adapter's own run.
socketConformance((name, body, needs) => {
  if (!/^TLS|^startTls/.test(name)) test.needs(needs, name, body);
}, { ...realServers({ ca }), connect, capabilities: nodeCapabilities });
test.run();
