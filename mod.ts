export { SocketError } from "./src/runtime/errors.ts";
