// The dependency rule of ARCHITECTURE.md, for dependency-cruiser: which file may import which, and no cycles.
// An import that no `allowed` row permits is an error.

const CLOCK = "^src/clock\\.ts$";
const CORE = "^src/agent/core/[a-z0-9_]+\\.ts$";
const RUNTIME = "^src/runtime/[a-z0-9_]+\\.ts$";
const CONTRACT = "^src/runtime/(socket|addresses|capabilities|errors|connect_options|start_tls|tell)\\.ts$";
const builtin = (names) => `^(node:)?(${names})$`;

/** The rest of src/agent, from the ground up: a file may import those above it. */
const AGENT_ORDER = [
  "exchange",
  "connection_control",
  "connection",
  "socket_stream",
  "options",
  "recent_map",
  "endpoint_table",
  "pool_events",
  "pool_stats",
  "deadline_queue",
  "peer_news",
  "connection_rules",
  "pool_roles",
  "pooled_stream",
  "stream_context",
  "unread_watch",
  "abandoned_dial",
  "parking",
  "pooled_connection",
  "exchange_waiter",
  "sent_length",
  "foreign_request",
  "kept_bytes",
  "response_body",
  "content_coding",
  "abort_listeners",
  "deadlines",
  "request_body",
  "request_upload",
  "request_plan",
  "request_input",
  "request_series",
  "response_drain",
  "retry_after",
  "request_timings",
  "lean_response",
  "request_exchange",
  "request",
  "fetch_request",
  "fetch_response",
  "fetch",
  "connection_pool",
  "agent_types",
  "agent_views",
  "agent_dial",
  "agent_report",
  "agent_hooks",
  "live_settings",
  "agent_endpoints",
  "callable",
  "agent",
  "global_agent",
  "incoming_message",
  "outgoing_message",
  "client_request",
];
/** These know no runtime and nothing of Node: they carry one exchange over any socket. */
const CARRIERS = ["connection_control", "connection"];
/** These are split: `client_request_options.ts` counts as `client_request.ts`. */
const SPLIT = ["incoming_message", "outgoing_message", "client_request"];
const agentFile = (name) => `^src/agent/${name}${SPLIT.includes(name) ? "[a-z_]*" : ""}\\.ts$`;

const allowed = [
  // Not the core: it is told the time.
  { from: { path: "^src/", pathNot: CORE }, to: { path: CLOCK } },
  { from: { path: CORE }, to: { path: CORE } },
  { from: { path: "^src/agent/core/latin1\\.ts$" }, to: { path: builtin("buffer") } },
  { from: { path: CONTRACT }, to: { path: CONTRACT } },
  { from: { path: RUNTIME }, to: { path: [CONTRACT, "^src/runtime/(turn_poll|write_queue)\\.ts$"] } },
  {
    from: { path: "^src/runtime/node[a-z0-9_]*\\.ts$" },
    to: {
      path: [builtin("net|tls|dns|stream|crypto"), "^src/runtime/(node[a-z0-9_]*|tls_session_cache)\\.ts$"],
    },
  },
  ...["deno", "bun", "dial", "memory", "conformance"].map((name) => ({
    from: { path: `^src/runtime/${name}[a-z0-9_]*\\.ts$` },
    to: { path: `^src/runtime/${name}[a-z0-9_]*\\.ts$` },
  })),
  { from: { path: "^src/runtime/context\\.ts$" }, to: { path: builtin("async_hooks") } },
  { from: { path: "^src/runtime/process\\.ts$" }, to: { path: builtin("process") } },
  { from: { path: "^src/runtime/mod\\.ts$" }, to: { path: RUNTIME } },
  ...CARRIERS.flatMap((name) => [
    {
      from: { path: agentFile(name) },
      to: { path: [CORE, agentFile("exchange"), agentFile("connection_control")] },
    },
    { from: { path: agentFile(name) }, to: { path: CONTRACT, dependencyTypes: ["type-only"] } },
  ]),
  ...AGENT_ORDER.flatMap((name, index) => {
    if (CARRIERS.includes(name)) return [];
    const above = AGENT_ORDER.slice(0, index + 1).map(agentFile);
    // The numbers of the system's errors, for those that Node's client would tell.
    const more = { content_coding: "|zlib", outgoing_message: "|os" }[name] ?? "";
    const node = `events|stream|buffer|diagnostics_channel${more}`;
    const to = [...above, CORE, "^src/runtime/(mod|context)\\.ts$", CONTRACT, builtin(node)];
    // The types by which an Agent fits where Node's is asked for.
    const types = { path: builtin("http|net"), dependencyTypes: ["type-only"] };
    return [
      { from: { path: agentFile(name) }, to: { path: to } },
      { from: { path: agentFile(name) }, to: types },
    ];
  }),
  { from: { path: "^src/(http|https|register)\\.ts$" }, to: { path: ["^src/", builtin("http|https")] } },
  { from: { path: "^src/http\\.ts$" }, to: { path: builtin("stream"), dependencyTypes: ["type-only"] } },
  { from: { path: "^(mod|src/testing|src/cli)\\.ts$" }, to: { path: "^src/" } },
];

module.exports = {
  forbidden: [
    { name: "no-cycle", severity: "error", from: {}, to: { circular: true } },
    {
      name: "no-orphan",
      severity: "error",
      from: { orphan: true, path: "^src/", pathNot: "^src/(http|https|testing)\\.ts$" },
      to: {},
    },
    { name: "no-unresolved", severity: "error", from: {}, to: { couldNotResolve: true } },
  ],
  allowed,
  allowedSeverity: "error",
  options: {
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    doNotFollow: { path: "node_modules" },
    enhancedResolveOptions: { extensions: [".ts"] },
  },
};
