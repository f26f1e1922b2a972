/**
 * One HTTP connection pool for Node, Deno and Bun.
 *
 * @module
 */

export { Agent, HttpsAgent } from "./src/agent/agent.ts";
export type { AgentBase, AgentConstructor, CreateConnection, HttpsAgentBase } from "./src/agent/agent.ts";
export type { AgentStats, PoolStatistics } from "./src/agent/agent_report.ts";
export { CONNECTION_CHANNEL, type ConnectionEvent } from "./src/agent/pool_events.ts";
export type { AgentRequest, RequestsView, SocketsView } from "./src/agent/agent_types.ts";
export type { AgentOptions } from "./src/agent/options.ts";
export type { AgentResponse } from "./src/agent/lean_response.ts";
export type { RequestTimings } from "./src/agent/request_timings.ts";
export type {
  AgentRequestInit,
  InformationalResponse,
  RetryFailure,
  RetryOption,
} from "./src/agent/request_plan.ts";
export type { OriginAndPath, RequestInput } from "./src/agent/request_input.ts";
export type { RequestBody, RequestBodyInput } from "./src/agent/request_body.ts";
export type { RequestTimeouts } from "./src/agent/deadlines.ts";
export { type AgentFetch, createFetch } from "./src/agent/fetch.ts";
export type { FetchInit, RequestAgent } from "./src/agent/fetch_request.ts";
export { fetch } from "./src/agent/global_agent.ts";
export type { BodyFramingKind, ResponseBody } from "./src/agent/response_body.ts";
export type { HeadersInput } from "./src/agent/core/request_serializer.ts";
export type { IncomingHeaders } from "./src/agent/core/headers.ts";
export {
  AbortError,
  AgentClosedError,
  AgentDestroyedError,
  ArgumentRangeError,
  ArgumentTypeError,
  BodySourceError,
  ConnectionClosedError,
  DecodingError,
  FetchError,
  IntegrityError,
  PoolError,
  ProtocolError,
  RedirectError,
  TimeoutError,
} from "./src/agent/core/errors.ts";
export type {
  AgentErrorCode,
  ArgumentErrorCode,
  ErrorCode,
  FailureFacts,
  NetworkErrorCode,
  ProtocolErrorCode,
  ProtocolErrorInit,
  RequestFailure,
  TimeoutPhase,
  TlsErrorCode,
} from "./src/agent/core/errors.ts";
export { createConnect, fromDuplex, fromStreams } from "./src/runtime/mod.ts";
export type { AdapterName, ConnectorOptions, StreamPair } from "./src/runtime/mod.ts";
export { checkPort, SocketError, unsupportedOptionError } from "./src/runtime/errors.ts";
export type { SocketErrorInit, SocketPhase } from "./src/runtime/errors.ts";
export { unsupportedOption } from "./src/runtime/capabilities.ts";
export type { BindingOption, Capabilities, HintOption, TlsOption } from "./src/runtime/capabilities.ts";
export type * from "./src/runtime/socket.ts";
export type { Clock, Timer } from "./src/clock.ts";
