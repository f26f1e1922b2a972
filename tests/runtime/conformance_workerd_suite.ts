import { workerdCapabilities, workerdConnect } from "../../examples/workerd_sockets.ts";
import { socketConformance } from "../../src/testing.ts";
import { suite } from "../harness/suite.ts";
import { realServers } from "./conformance_servers.ts";
import { connect } from "./workerd_sockets.ts";

const test = suite("socket contract, examples/workerd_sockets");
const harness = {
  ...realServers(),
  knowsCodes: false,
  connect: workerdConnect(connect),
  capabilities: workerdCapabilities,
};
socketConformance((name, body, needs) => test.needs(needs, name, body), harness);
test.run();
