/**
 * A received header section, presented as Node presents it and only when asked.
 *
 * Owns the rules of IncomingMessage's headers, headersDistinct and rawHeaders (Node's http document,
 * "message.headers"). Knows no bytes: it is given validated text, in which every line is `name:value` with optional
 * whitespace around the value, and finds the fields in it when somebody asks. A response whose headers nobody reads
 * costs one object.
 *
 * @module
 */

/** Options of {@linkcode HeaderBlock.toObject}. */
export interface HeaderObjectOptions {
  /** Join repeated fields by ", " where Node keeps the first alone. Default false. */
  readonly joinDuplicateHeaders?: boolean | undefined;
}

/** Header fields as Node's `message.headers` has them: lower-cased names, no prototype. */
export interface IncomingHeaders {
  [name: string]: string | string[] | undefined;
  "set-cookie"?: string[];
}

// Of a repeated one the first wins (Node's http document, "message.headers").
const FIRST_WINS: ReadonlySet<string> = new Set([
  "age",
  "authorization",
  "content-length",
  "content-type",
  "etag",
  "expires",
  "from",
  "host",
  "if-modified-since",
  "if-unmodified-since",
  "last-modified",
  "location",
  "max-forwards",
  "proxy-authorization",
  "referer",
  "retry-after",
  "server",
  "user-agent",
]);

/** The fields of one header or trailer section, in the order and case received. */
export class HeaderBlock {
  /** The block without a field. */
  static readonly EMPTY: HeaderBlock = new HeaderBlock("", 0, 0);

  readonly #text: string;
  readonly #start: number;
  readonly #end: number;
  readonly #maxFields: number;
  #pairs: readonly string[] | undefined;

  /**
   * Takes the part of `text` from `start` to `end` as lines, each ended by CRLF; shows the first `maxFields` of
   * them (default: all).
   */
  constructor(text: string, start: number, end: number, maxFields: number = Infinity) {
    this.#text = text;
    this.#start = start;
    this.#end = end;
    this.#maxFields = maxFields;
  }

  /** Takes a flat list of names and values as it is; the block owns the array from here on. */
  static fromPairs(pairs: readonly string[]): HeaderBlock {
    const block = new HeaderBlock("", 0, 0);
    block.#pairs = pairs;
    return block;
  }

  /** The number of fields; repeated names count each time. */
  get count(): number {
    return this.#fields().length / 2;
  }

  /** Names and values in turn, as received; a new array at each reading. */
  get rawHeaders(): string[] {
    return this.#fields().slice();
  }

  /** Node's `headers`, without joinDuplicateHeaders; a new object at each reading. */
  get headers(): IncomingHeaders {
    return this.toObject();
  }

  /** Node's `headersDistinct`: every value of every name; a new object without prototype at each reading. */
  get headersDistinct(): Record<string, string[]> {
    const fields = this.#fields();
    const distinct: Record<string, string[]> = Object.create(null);
    for (let i = 0; i < fields.length; i += 2) {
      const name = fields[i]!.toLowerCase();
      const values = distinct[name];
      if (values === undefined) distinct[name] = [fields[i + 1]!];
      else values.push(fields[i + 1]!);
    }
    return distinct;
  }

  /** Node's `headers`; a new object without prototype at each call. */
  toObject(options?: HeaderObjectOptions): IncomingHeaders {
    const fields = this.#fields();
    const join = options?.joinDuplicateHeaders === true;
    const object: IncomingHeaders = Object.create(null);
    for (let i = 0; i < fields.length; i += 2) {
      addField(object, fields[i]!.toLowerCase(), fields[i + 1]!, join);
    }
    return object;
  }

  /** The value of `name` (any case) as `headers` would show it, set-cookie joined by ", "; undefined: no such field. */
  get(name: string): string | undefined {
    const fields = this.#fields();
    const wanted = name.toLowerCase();
    let found: string | undefined;
    for (let i = 0; i < fields.length; i += 2) {
      const field = fields[i]!;
      if (field.length !== wanted.length || field.toLowerCase() !== wanted) continue;
      if (found === undefined) found = fields[i + 1]!;
      else if (FIRST_WINS.has(wanted)) return found;
      else found += (wanted === "cookie" ? "; " : ", ") + fields[i + 1]!;
    }
    return found;
  }

  /** Pairs of name and value, as received. */
  *[Symbol.iterator](): IterableIterator<[string, string]> {
    const fields = this.#fields();
    for (let i = 0; i < fields.length; i += 2) yield [fields[i]!, fields[i + 1]!];
  }

  #fields(): readonly string[] {
    return this.#pairs ??= splitFields(this.#text, this.#start, this.#end, this.#maxFields);
  }
}

function addField(object: IncomingHeaders, name: string, value: string, join: boolean): void {
  if (name === "set-cookie") {
    const cookies = object["set-cookie"];
    if (cookies === undefined) object["set-cookie"] = [value];
    else cookies.push(value);
    return;
  }
  const present = object[name] as string | undefined;
  if (present === undefined) object[name] = value;
  else if (name === "cookie") object[name] = `${present}; ${value}`;
  else if (join || !FIRST_WINS.has(name)) object[name] = `${present}, ${value}`;
}

function splitFields(text: string, start: number, end: number, maxFields: number): string[] {
  const fields: string[] = [];
  let at = start;
  while (at < end && fields.length < 2 * maxFields) {
    const colon = text.indexOf(":", at);
    const lineEnd = text.indexOf("\r\n", colon);
    let from = colon + 1;
    while (isSpace(text.charCodeAt(from))) from++;
    let to = lineEnd;
    while (to > from && isSpace(text.charCodeAt(to - 1))) to--;
    fields.push(text.slice(at, colon), text.slice(from, to));
    at = lineEnd + 2;
  }
  return fields;
}

function isSpace(character: number): boolean {
  return character === 0x20 || character === 0x09;
}
