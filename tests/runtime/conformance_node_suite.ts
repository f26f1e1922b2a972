import { launch } from "./conformance_launch.ts";

launch("node");
