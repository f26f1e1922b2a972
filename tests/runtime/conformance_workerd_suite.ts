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
socketConformance((name, body, needs) => {
  // No runtime's: that ref() and unref() do not exist is web_streams_suite.ts's.
  const { ref: hasRef = true, ...others } = needs;
  if (hasRef) test.needs(others, name, body);
}, harness);
test.run();
