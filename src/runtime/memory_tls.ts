/**
 * TLS without cryptography: the results of a handshake, and nothing secret.
 *
 * Owns a layer over any Socket that looks like TLS to both ends and to whatever lies between: records with TLS's heads, a
 * handshake of one round trip, alerts. Must not know networks or listeners. Strategy: certificates are facts written
 * down in the handshake, and the client judges them in OpenSSL's order (chain, dates, name) with Node's codes. Because
 * it all goes through the bytes, a proxy's tunnel, plain text where TLS is expected, and a cut or reset at any byte
 * behave as they do in earnest.
 *
 * @module
 */

import type { Clock } from "../clock.ts";
import { SocketError } from "./errors.ts";
import { verify } from "./memory_certificate.ts";
import type { MemoryCertificate } from "./memory_certificate.ts";
import { isAddress } from "./addresses.ts";
import type { Socket, SocketHandler, SocketInfo, TlsInfo, TlsOptions } from "./socket.ts";
import { tell, tellData } from "./tell.ts";

/** The server's side of TLS. */
export interface MemoryTlsOptions {
  /** What it shows; default: a certificate for every name, trusted by everyone. */
  readonly certificate?: MemoryCertificate | undefined;
  /** Protocols that it speaks; the client's first one that is among them is chosen. */
  readonly ALPNProtocols?: readonly string[] | undefined;
  /** Refuses clients without a certificate, as TLS 1.3 does: after they think that the connection is open. */
  readonly requestCert?: boolean | undefined;
}

/** What a server knows of a client that came by TLS. */
export interface MemoryTlsClient {
  /** The name asked for (SNI); undefined: none was. */
  readonly servername: string | undefined;
  /** The protocol chosen. */
  readonly alpnProtocol: string | undefined;
  /** It has shown a certificate. */
  readonly hasCertificate: boolean;
}

interface Hello {
  readonly servername?: string;
  readonly ALPNProtocols?: readonly string[];
}

interface Answer {
  readonly certificate: MemoryCertificate;
  readonly alpnProtocol?: string;
  /** Makes the answer as long as a chain of certificates is. */
  readonly padding: string;
}

interface Finished {
  readonly hasCertificate: boolean;
}

const handshakeRecord = 22;
const dataRecord = 23;
const alertRecord = 21;
const headBytes = 5;
const maxRecordBytes = 16_384;
const chainBytes = 1_024;
const poison = 0xdb;
const closeNotify = new Uint8Array([1, 0]);
const badCertificate = new Uint8Array([2, 42]);
const certificateRequired = new Uint8Array([2, 116]);

/** One end of TLS over another Socket, whose handler it takes. */
export class MemoryTlsSocket implements Socket {
  handler: SocketHandler;
  /** Server: what is known of the client; from `onOpen` on. */
  client: MemoryTlsClient | undefined = undefined;

  readonly #inner: Socket;
  readonly #clock: Clock;
  readonly #role: ClientRole | ServerRole;
  #info: SocketInfo | undefined = undefined;
  #isOpen = false;
  #isClosed = false;
  #isDestroyed = false;
  #isPaused = false;
  #isEnding = false;
  #peerEnded = false;
  #owesDrain = false;
  #early: { readonly chunk: Uint8Array; readonly more: boolean }[] = [];
  #earlyBytes = 0;
  #bytesRead = 0;
  #bytesWritten = 0;
  // Bytes of records that are not complete, or that came before a pause.
  #unread: Uint8Array = new Uint8Array(0);
  #isFinOwed = false;
  #startedMs = 0;
  #connectMs: number | undefined = undefined;

  /** Takes over an open socket, or one that is connecting. */
  constructor(inner: Socket, role: ClientRole | ServerRole, clock: Clock, handler: SocketHandler) {
    this.#inner = inner;
    this.#role = role;
    this.#clock = clock;
    this.handler = handler;
    inner.handler = {
      onOpen: () => {
        this.#connectMs = inner.info?.opening?.connectMs;
        this.#start();
      },
      onData: (chunk) => this.#receive(chunk),
      onEnd: () => this.#fin(),
      onDrain: () => this.#drained(),
      onClose: (error) => this.#closed(error),
    };
    if (!inner.connecting) this.#later(() => this.#start());
    inner.resume();
  }

  get connecting(): boolean {
    return !this.#isOpen && !this.#isClosed;
  }

  get destroyed(): boolean {
    return this.#isDestroyed || this.#inner.destroyed;
  }

  get pendingBytes(): number {
    if (this.destroyed) return 0;
    return this.#earlyBytes + (this.#owesDrain ? this.#inner.pendingBytes : 0);
  }

  get bytesRead(): number {
    return this.#bytesRead;
  }

  get bytesWritten(): number {
    return this.#bytesWritten;
  }

  get info(): SocketInfo | undefined {
    return this.#info;
  }

  write(chunk: Uint8Array, more: boolean = false): boolean {
    if (this.destroyed || this.#isEnding) return false;
    if (chunk.length === 0) return true;
    this.#bytesWritten += chunk.length;
    if (this.#isOpen) return this.#send(dataRecord, chunk, more);
    this.#early.push({ chunk, more });
    this.#earlyBytes += chunk.length;
    return this.#earlyBytes <= maxRecordBytes;
  }

  end(): void {
    if (this.destroyed || this.#isEnding) return;
    this.#isEnding = true;
    if (this.#isOpen) this.#sendEnd();
  }

  destroy(error?: Error): void {
    if (this.destroyed) return;
    this.#isDestroyed = true;
    this.#drop();
    this.#inner.destroy(error);
  }

  pause(): void {
    this.#isPaused = true;
    if (this.#isOpen) this.#inner.pause();
  }

  resume(): void {
    if (!this.#isPaused) return;
    this.#isPaused = false;
    this.#later(() => this.#resumed());
  }

  ref(): void {
    this.#inner.ref?.();
  }

  unref(): void {
    this.#inner.unref?.();
  }

  setNoDelay(on: boolean): void {
    this.#inner.setNoDelay?.(on);
  }

  setKeepAlive(on: boolean, initialDelayMs: number): void {
    this.#inner.setKeepAlive?.(on, initialDelayMs);
  }

  /** Bytes have come that were not given to `onData` yet. */
  get hasUnread(): boolean {
    return this.#unread.length > 0;
  }

  #later(fn: () => void): void {
    this.#clock.after(0, fn, { ref: true });
  }

  // Handshake.

  #start(): void {
    this.#startedMs = this.#clock.now();
    if (this.destroyed || this.#role.side === "server") return;
    const { options, name } = this.#role;
    const hello: Hello = {
      ...(name === "" ? {} : { servername: name }),
      ...(options.ALPNProtocols === undefined ? {} : { ALPNProtocols: options.ALPNProtocols }),
    };
    this.#sendFacts(hello);
  }

  #handshake(payload: Uint8Array): void {
    const facts = factsOf(payload);
    if (facts === undefined) {
      return this.#fail("EPROTO", "The peer's handshake is not one of the memory network");
    }
    if (this.#role.side === "client") this.#judge(facts as Answer, this.#role);
    else if ("hasCertificate" in facts) this.#accept(facts as Finished, this.#role);
    else this.#answer(facts as Hello, this.#role);
  }

  #answer(hello: Hello, { options }: ServerRole): void {
    const alpnProtocol = hello.ALPNProtocols?.find((name) => options.ALPNProtocols?.includes(name));
    this.client = { servername: hello.servername, alpnProtocol, hasCertificate: false };
    const answer: Answer = {
      certificate: options.certificate ?? {},
      padding: "-".repeat(chainBytes),
      ...(alpnProtocol === undefined ? {} : { alpnProtocol }),
    };
    this.#sendFacts(answer);
  }

  #judge(answer: Answer, role: ClientRole): void {
    const error = verify(answer.certificate, role.options, role.verified);
    const { rejectUnauthorized = true, cert, pfx } = role.options;
    if (error !== undefined && rejectUnauthorized) {
      return this.#fail(error.code, error.message, error.cause, badCertificate);
    }
    this.#sendFacts({ hasCertificate: cert !== undefined || pfx !== undefined });
    this.#open({
      alpnProtocol: answer.alpnProtocol,
      authorized: error === undefined,
      authorizationError: error?.code,
      resumed: false,
      protocol: "TLSv1.3",
    });
  }

  #accept({ hasCertificate }: Finished, { options }: ServerRole): void {
    if (options.requestCert === true && !hasCertificate) {
      const message = "The client has shown no certificate";
      return this.#fail("ERR_SSL_PEER_DID_NOT_RETURN_A_CERTIFICATE", message, undefined, certificateRequired);
    }
    this.client = { ...this.client!, hasCertificate };
    const alpnProtocol = this.client.alpnProtocol;
    this.#open({ alpnProtocol, authorized: hasCertificate, protocol: "TLSv1.3" });
  }

  #open(tls: TlsInfo): void {
    this.#isOpen = true;
    const opening = { connectMs: this.#connectMs, tlsMs: this.#clock.now() - this.#startedMs };
    this.#info = { adapter: "memory", ...this.#inner.info, tls, opening };
    const early = this.#early;
    this.#early = [];
    this.#earlyBytes = 0;
    for (const { chunk, more } of early) this.#send(dataRecord, chunk, more);
    if (this.#isEnding) this.#sendEnd();
    if (this.#isPaused) this.#inner.pause();
    tell(this.handler, this.handler.onOpen);
  }

  // Outgoing.

  #sendFacts(facts: Hello | Answer | Finished): void {
    this.#send(handshakeRecord, new TextEncoder().encode(JSON.stringify(facts)), false);
  }

  // The head and the chunk itself, so that the chunk is read as late as over a plain connection.
  #send(type: number, payload: Uint8Array, more: boolean): boolean {
    if (type === dataRecord) this.#owesDrain = true;
    let isReady = true;
    for (let at = 0; at < payload.length; at += maxRecordBytes) {
      const part = payload.subarray(at, at + maxRecordBytes);
      this.#inner.write(new Uint8Array([type, 3, 3, part.length >>> 8, part.length & 0xff]), true);
      isReady = this.#inner.write(part, more);
    }
    return isReady;
  }

  #sendEnd(): void {
    this.#send(alertRecord, closeNotify, false);
    this.#inner.end();
  }

  #drained(): void {
    if (!this.#owesDrain || !this.#isOpen || this.destroyed) return;
    this.#owesDrain = false;
    tell(this.handler, this.handler.onDrain);
  }

  // Incoming.

  #receive(chunk: Uint8Array): void {
    if (this.destroyed) return;
    const joined = new Uint8Array(this.#unread.length + chunk.length);
    joined.set(this.#unread);
    joined.set(chunk, this.#unread.length);
    this.#unread = joined;
    this.#parse();
  }

  #parse(): void {
    while (!this.destroyed && !(this.#isOpen && this.#isPaused) && this.#unread.length > 0) {
      const type = this.#unread[0]!;
      if (type < alertRecord || type > dataRecord) {
        return this.#fail("EPROTO", "wrong version number: the peer does not speak TLS");
      }
      if (this.#unread.length < headBytes) return;
      const end = headBytes + ((this.#unread[3]! << 8) | this.#unread[4]!);
      if (this.#unread.length < end) return;
      const payload = this.#unread.subarray(headBytes, end);
      this.#unread = this.#unread.subarray(end);
      this.#record(type, payload);
    }
    if (this.#isFinOwed && !this.#isPaused) this.#fin();
  }

  #record(type: number, payload: Uint8Array): void {
    if (type === handshakeRecord) return this.#handshake(payload);
    if (type === alertRecord) return this.#alert(payload);
    if (!this.#isOpen || this.#peerEnded) return;
    this.#bytesRead += payload.length;
    tellData(this.handler, payload);
    payload.fill(poison);
  }

  #alert(payload: Uint8Array): void {
    if (payload[0] === closeNotify[0]) return this.#ended(true);
    const isMissing = payload[1] === certificateRequired[1];
    const name = isMissing ? "CERTIFICATE_REQUIRED" : "BAD_CERTIFICATE";
    this.#fail(`ERR_SSL_TLSV13_ALERT_${name}`, `The peer has sent the alert ${payload[1]}`);
  }

  #resumed(): void {
    if (this.#isPaused || this.destroyed) return;
    this.#parse();
    if (!this.#isPaused) this.#inner.resume();
  }

  // FIN of the connection below: only close_notify is a proper end.
  #fin(): void {
    this.#isFinOwed = this.#isPaused && this.#unread.length > 0;
    if (this.#isFinOwed) return;
    if (!this.#isOpen) {
      return this.#fail("ECONNRESET", "The peer has closed before the TLS connection was established");
    }
    this.#ended(false);
  }

  #ended(isAuthenticated: boolean): void {
    if (this.#peerEnded) return;
    this.#peerEnded = true;
    tell(this.handler, this.handler.onEnd, isAuthenticated);
  }

  // Ends.

  #fail(code: string, message: string, cause?: unknown, alert?: Uint8Array): void {
    const phase = this.#isOpen ? "open" : "tls";
    const { remoteAddress: address, remotePort: port } = this.#inner.info ?? {};
    const error = new SocketError(message, { code, phase, address, port, cause });
    if (alert !== undefined) this.#send(alertRecord, alert, false);
    this.#isDestroyed = true;
    this.#drop();
    if (alert === undefined) return this.#inner.destroy(error);
    // The alert has to go out first.
    this.#inner.handler = { ...this.#inner.handler, onDrain: () => this.#inner.destroy(error) };
  }

  #closed(error: SocketError | undefined): void {
    const isEarly = !this.#isOpen && error !== undefined && error.phase === "open";
    this.#isDestroyed = true;
    this.#isClosed = true;
    this.#drop();
    const { message, code, syscall, address, port, cause } = error ?? {};
    this.handler.onClose(
      isEarly
        ? new SocketError(message!, { code: code!, phase: "tls", syscall, address, port, cause })
        : error,
    );
  }

  #drop(): void {
    this.#early = [];
    this.#earlyBytes = 0;
    this.#unread = new Uint8Array(0);
  }
}

/** The client's side: its options, the name that it sends, the name that it verifies. */
export interface ClientRole {
  readonly side: "client";
  readonly options: TlsOptions;
  /** Sent as SNI; "" sends none. */
  readonly name: string;
  /** Verified. */
  readonly verified: string;
}

/** The server's side. */
export interface ServerRole {
  readonly side: "server";
  readonly options: MemoryTlsOptions;
}

/** The client's side for a connect to `host`. */
export function clientRole(options: TlsOptions, host: string): ClientRole {
  const verified = options.host ?? host;
  const name = options.servername ?? (isAddress(host) ? "" : verified);
  return { side: "client", options, name, verified: options.servername || verified };
}

function factsOf(payload: Uint8Array): Hello | Answer | Finished | undefined {
  try {
    return JSON.parse(new TextDecoder().decode(payload)) as Hello | Answer | Finished;
  } catch {
    // A real ClientHello, say: whoever sent it is no MemoryTlsSocket.
    return undefined;
  }
}
