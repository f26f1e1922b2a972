/**
 * Responses made from a model, sent in the laxest form that is still allowed, have to come out as the model says: an
 * expectation that owes nothing to another parser.
 */
import fc from "fast-check";
import "../harness/seed.ts";
import { encodeLatin1 } from "../../src/agent/core/latin1.ts";
import * as assert from "uvu/assert";
import { suite } from "../harness/suite.ts";
import { parserLog, show } from "./parser_log.ts";

const test = suite("ResponseParser by a model");

interface Chunk {
  readonly data: string;
  readonly zeros: number;
  readonly isUpper: boolean;
  readonly extension: string;
}

interface Model {
  readonly minor: 0 | 1;
  readonly status: number;
  readonly reason: string;
  readonly fields: readonly (readonly [name: string, before: string, value: string, after: string])[];
  readonly interim: number;
  readonly body: { readonly kind: "length"; readonly data: string } | {
    readonly kind: "close";
    readonly data: string;
  } | {
    readonly kind: "chunked";
    readonly chunks: readonly Chunk[];
    readonly trailers: readonly (readonly [name: string, value: string])[];
  };
  readonly surplus: string;
}

const TOKEN_CHARACTERS = "!#$%&'*+-.^_`|~09azAZ";
const TEXT = Array.from({ length: 256 }, (_, code) => String.fromCharCode(code))
  .filter((character) => character === "\t" || (character >= " " && character !== "\x7f"));
const VISIBLE = TEXT.filter((character) => character !== " " && character !== "\t");

const token = fc.string({ unit: fc.constantFrom(...TOKEN_CHARACTERS), minLength: 1, maxLength: 12 });
// Not one of the fields that the codec heeds.
const name = token.map((text) => `X${text}`);
const space = fc.string({ unit: fc.constantFrom(" ", "\t"), maxLength: 3 });
const value = fc.oneof(
  fc.constant(""),
  fc.constantFrom(...VISIBLE),
  fc.tuple(
    fc.constantFrom(...VISIBLE),
    fc.string({ unit: fc.constantFrom(...TEXT), maxLength: 20 }),
    fc.constantFrom(...VISIBLE),
  )
    .map((parts) => parts.join("")),
);
const octets = fc.string({ unit: "binary", maxLength: 40, size: "max" }).map((text) =>
  Array.from(text, (character) => String.fromCharCode(character.codePointAt(0)! & 0xff)).join("")
);
const extension = fc.oneof(
  fc.constant(""),
  token.map((key) => `;${key}`),
  fc.tuple(token, token).map(([key, text]) => `;${key}=${text}`),
  fc.tuple(
    token,
    fc.string({ unit: fc.constantFrom("a", " ", "\t", ";", '\\"', "\\\\", "\xe9"), maxLength: 6 }),
  )
    .map(([key, text]) => `;${key}="${text}";z`),
);

const model: fc.Arbitrary<Model> = fc.record({
  minor: fc.constantFrom(0 as const, 1 as const),
  status: fc.integer({ min: 200, max: 999 }).filter((status) => status !== 204 && status !== 304),
  reason: fc.string({ unit: fc.constantFrom(...TEXT), maxLength: 12 }),
  fields: fc.array(fc.tuple(name, space, value, space), { maxLength: 8 }),
  interim: fc.nat(3),
  body: fc.oneof(
    fc.record({ kind: fc.constant("length" as const), data: octets }),
    fc.record({ kind: fc.constant("close" as const), data: octets }),
    fc.record({
      kind: fc.constant("chunked" as const),
      chunks: fc.array(
        fc.record({
          data: octets.filter((data) => data !== ""),
          zeros: fc.nat(3),
          isUpper: fc.boolean(),
          extension,
        }),
        { maxLength: 4 },
      ),
      trailers: fc.array(fc.tuple(name, value), { maxLength: 3 }),
    }),
  ),
  surplus: octets,
});

/** The message of a model. */
function render({ minor, status, reason, fields, interim, body, surplus }: Model): string {
  let text = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".repeat(interim);
  text += `HTTP/1.${minor} ${status} ${reason}\r\n`;
  for (const [key, before, content, after] of fields) text += `${key}:${before}${content}${after}\r\n`;
  switch (body.kind) {
    case "length":
      return `${text}Content-Length: ${body.data.length}\r\n\r\n${body.data}${surplus}`;
    case "close":
      return `${text}\r\n${body.data}`;
    case "chunked": {
      text += "Transfer-Encoding: chunked\r\n\r\n";
      for (const { data, zeros, isUpper, extension } of body.chunks) {
        const size = data.length.toString(16);
        text += `${"0".repeat(zeros)}${isUpper ? size.toUpperCase() : size}${extension}\r\n${data}\r\n`;
      }
      text += "0\r\n";
      for (const [key, content] of body.trailers) text += `${key}: ${content}\r\n`;
      return `${text}\r\n${surplus}`;
    }
  }
}

/** What the parser has to say of it. */
function expected({ minor, status, reason, fields, interim, body, surplus }: Model): string {
  const lines: string[] = [];
  for (let i = 0; i < interim; i++) lines.push('informational 1.1 103 "Early Hints"', 'field Link: "x"');
  lines.push(`head 1.${minor} ${status} ${show(reason)}`);
  for (const [key, , content] of fields) lines.push(`field ${key}: ${show(content)}`);
  const data = body.kind === "chunked" ? body.chunks.map((chunk) => chunk.data).join("") : body.data;
  if (body.kind === "length") {
    lines.push(`field Content-Length: "${data.length}"`, `framing length ${data.length}`);
  } else if (body.kind === "chunked") lines.push('field Transfer-Encoding: "chunked"', "framing chunked");
  else lines.push("framing close");
  if (data !== "") lines.push(`body ${show(data)}`);
  if (body.kind === "chunked") {
    for (const [key, content] of body.trailers) lines.push(`trailer ${key}: ${show(content)}`);
  }
  lines.push("complete");
  if (body.kind !== "close" && surplus !== "") lines.push(`surplus ${show(surplus)}`);
  return lines.join("\n");
}

/** `bytes` in pieces of the lengths given, over and over. */
function cut(bytes: Uint8Array, lengths: readonly number[]): Uint8Array[] {
  const chunks: Uint8Array[] = [];
  for (let at = 0, i = 0; at < bytes.length; i++) {
    const length = lengths[i % lengths.length]!;
    chunks.push(bytes.subarray(at, at + length));
    at += length;
  }
  return chunks;
}

test("reads what the model says, whole and in any cut", () => {
  const lengths = fc.array(fc.integer({ min: 1, max: 60 }), { minLength: 1, maxLength: 8 });
  fc.assert(
    fc.property(model, lengths, (response, pieces) => {
      const bytes = encodeLatin1(render(response));
      const log = expected(response);
      assert.is(parserLog([bytes], { eof: response.body.kind === "close" }), log);
      assert.is(parserLog(cut(bytes, pieces), { eof: response.body.kind === "close" }), log);
    }),
    { numRuns: 1_500 },
  );
});

test("never takes a cut message for a whole one", () => {
  fc.assert(
    fc.property(model, fc.nat(), (response, at) => {
      if (response.body.kind === "close") return;
      const whole = render({ ...response, surplus: "" });
      const log = parserLog([encodeLatin1(whole.slice(0, at % whole.length))], { eof: true });
      assert.not.match(log, /^complete$/m);
      assert.match(log, /^error HPE_INVALID_EOF_STATE/m);
    }),
    { numRuns: 1_500 },
  );
});

test("whatever comes, ends in one of the known errors, a state or a complete response", () => {
  const bytes = fc.oneof(
    fc.uint8Array({ maxLength: 200 }),
    fc.tuple(model, fc.nat(), fc.nat(255)).map(([response, at, byte]) => {
      const message = encodeLatin1(render(response));
      message[at % message.length] = byte;
      return message;
    }),
  );
  fc.assert(
    fc.property(bytes, (message) => {
      const last = parserLog([message]).split("\n").pop()!;
      assert.match(last, /^(?:error HPE_[A-Z_]+ .+|state [a-z-]+|complete|surplus .*|upgrade .*|field .*)$/);
    }),
    { numRuns: 3_000 },
  );
});

test.run();
