/**
 * The types by which an Agent fits where Node's is asked for. Types alone: nothing of node:http is loaded.
 *
 * @module
 */

import type { ClientRequest } from "node:http";
import type * as net from "node:net";

/** `agent.sockets` and `agent.freeSockets`: name to streams. */
export type SocketsView = Readonly<Record<string, net.Socket[] | undefined>>;

/** `agent.requests`: name to requests. */
export type RequestsView = Readonly<Record<string, ClientRequest[] | undefined>>;

/** What Node's methods are given as the request. */
export type AgentRequest = ClientRequest;

/** A stream as the default `createConnection` returns it. */
export type AgentSocket = net.Socket;
