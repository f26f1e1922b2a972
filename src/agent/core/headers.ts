/**
 * A received header section, presented as Node presents it and only when asked.
 *
 * Owns the rules of IncomingMessage's headers, headersDistinct and rawHeaders (Node's http document,
 * "message.headers"). Knows no bytes: it is given validated text and where in it the fields lie, and cuts them out when
 * somebody asks. A response whose headers nobody reads costs two objects, whatever the number of its fields.
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
  /** Any field: its value, or its values joined. */
  [name: string]: string | string[] | undefined;
  /** Always an array. */
  "set-cookie"?: string[];
}

/** Of these a repeated one is left out: the first wins (Node's http document, "message.headers"). In lower case. */
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

/** Who can make the fields of a section from the little that was kept of it. */
export interface FieldSource {
  /** Names and values in turn; the caller's array. */
  fields(kept: readonly number[]): string[];
}

/** The fields of one header or trailer section, in the order and case received. */
export class HeaderBlock {
  /** The block without a field. */
  static readonly EMPTY: HeaderBlock = new HeaderBlock("", []);

  readonly #text: string;
  readonly #numbers: readonly number[];
  readonly #source: FieldSource | undefined;
  readonly #maxFields: number;
  #pairs: readonly string[] | undefined;

  /**
   * `numbers`: offsets in `text`, four a field, start and end of the name, start and end of the value; with a `source`
   * what was kept for that one. Shows the first `maxFields` of the fields (default: all).
   */
  constructor(
    text: string,
    numbers: readonly number[],
    maxFields: number = Infinity,
    source?: FieldSource,
  ) {
    this.#text = text;
    this.#numbers = numbers;
    this.#maxFields = maxFields;
    this.#source = source;
  }

  /** Takes a flat list of names and values as it is; the block owns the array from here on. */
  static fromPairs(pairs: readonly string[]): HeaderBlock {
    const block = new HeaderBlock("", []);
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
    return distinctFields(this.#fields());
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
    return this.#pairs ??= this.#makeFields();
  }

  #makeFields(): readonly string[] {
    const source = this.#source;
    if (source === undefined) return cutFields(this.#text, this.#numbers, this.#maxFields);
    const fields = source.fields(this.#numbers);
    return fields.length / 2 > this.#maxFields ? fields.slice(0, 2 * this.#maxFields) : fields;
  }
}

/**
 * Adds one field to an object as Node's `message.headers` is; `name` is in lower case, and no accessor of the object's
 * prototype.
 */
export function addField(object: IncomingHeaders, name: string, value: string, join: boolean): void {
  if (name === "set-cookie") {
    const cookies = object["set-cookie"];
    if (cookies === undefined) object["set-cookie"] = [value];
    else cookies.push(value);
    return;
  }
  const present = object[name] as string | undefined;
  // What the object inherits is no field.
  if (present === undefined || !Object.hasOwn(object, name)) object[name] = value;
  else if (name === "cookie") object[name] = `${present}; ${value}`;
  else if (join || !FIRST_WINS.has(name)) object[name] = `${present}, ${value}`;
}

/** Node's `headersDistinct` of names and values in turn: an object without prototype. */
export function distinctFields(fields: readonly string[]): Record<string, string[]> {
  const distinct: Record<string, string[]> = Object.create(null);
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const name = fields[i]!.toLowerCase();
    const values = distinct[name];
    if (values === undefined) distinct[name] = [fields[i + 1]!];
    else values.push(fields[i + 1]!);
  }
  return distinct;
}

/** Names and values in turn of the first `maxFields` fields; `marks` are offsets in `text`, four a field. */
export function cutFields(text: string, marks: readonly number[], maxFields: number = Infinity): string[] {
  // The last step makes an integer of it for JSC too, which else takes Infinity for a hint: three times as slow.
  const count = Math.min(marks.length >> 2, maxFields) | 0;
  const fields = new Array<string>(2 * count);
  for (let i = 0; i < count; i++) {
    fields[2 * i] = text.slice(marks[4 * i]!, marks[4 * i + 1]!);
    fields[2 * i + 1] = text.slice(marks[4 * i + 2]!, marks[4 * i + 3]!);
  }
  return fields;
}
