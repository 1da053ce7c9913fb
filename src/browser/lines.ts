import type { StreamStatus } from "../shared.js";
import type { GrowingText } from "./prefix.js";

/** Returns the value of a line, or `undefined` to leave the line out, such as a comment of server-sent events. */
export type ParseLine<T> = (line: string) => T | undefined;

/**
 * The shape of a line of JSON: a schema of zod, valibot, arktype or any other library
 * that implements Standard Schema (https://standardschema.dev). It must be synchronous.
 */
export interface LineSchema<T> {
  /** What Standard Schema asks for. */
  readonly "~standard": {
    /** Of Standard Schema. */
    readonly version: 1;
    /** The library. */
    readonly vendor: string;
    /** Checks a value. */
    readonly validate: (
      value: unknown,
    ) => SchemaResult<T> | Promise<SchemaResult<T>>;
    /** For the compiler. */
    readonly types?:
      { readonly input: unknown; readonly output: T } | undefined;
  };
}

/** What a schema says of a value. */
export type SchemaResult<T> =
  | { readonly value: T; readonly issues?: undefined }
  | { readonly issues: readonly { readonly message: string }[] };

/** A line that could not be parsed. `cause` is what the parser threw, or the schema's issues. */
export class InvalidLineError extends Error {
  /** The error's name in logs. */
  override name = "InvalidLineError";

  /**
   * Creates the error for one line.
   *
   * @param line The line.
   * @param number Its number, from 1.
   * @param cause Why it is invalid.
   */
  constructor(
    readonly line: string,
    readonly number: number,
    cause: unknown,
  ) {
    const start = JSON.stringify(line.slice(0, 80));
    super(`Line ${number} of the stream cannot be parsed: ${start}.`, {
      cause,
    });
  }
}

/** Options for lines that cannot be parsed. */
export interface LineOptions<T> {
  /**
   * Called with each line that cannot be parsed. Its result replaces the line;
   * `undefined` skips it; an error that it throws ends the reading. Default: skip the
   * line, and report the first of a stream in the console.
   */
  onInvalid?: ((error: InvalidLineError) => T | undefined | void) | undefined;
}

/**
 * Makes values of the lines of a text that comes in pieces, cut anywhere. A
 * line is whole when its line break has come. Blank lines are left out.
 */
export class LineParser<T> {
  private rest = "";
  /** How many lines there were before `rest`. */
  private count = 0;
  /** The offset behind the line that was parsed last. */
  offset = 0;
  private hasReported = false;

  constructor(
    public parse: ParseLine<T> | LineSchema<T>,
    public onInvalid: LineOptions<T>["onInvalid"],
  ) {}

  /** The values of the lines that are whole with `text`. */
  *push(text: string): Generator<T, void> {
    if (!text.includes("\n")) {
      // Not searched again with every token of a long line.
      this.rest += text;
      return;
    }
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop() ?? "";
    for (const line of lines) {
      this.offset += line.length + 1;
      yield* this.value(line, ++this.count);
    }
  }

  /** The value of a last line without a line break, if there is one. */
  *end(): Generator<T, void> {
    yield* this.value(this.rest, this.count + 1);
  }

  private *value(text: string, number: number): Generator<T, void> {
    if (text.trim() === "") return;
    const line = text.endsWith("\r") ? text.slice(0, -1) : text;
    let value: T | undefined | void;
    try {
      value = parseLine(line, this.parse);
    } catch (cause) {
      const error = new InvalidLineError(line, number, cause);
      if (this.onInvalid) value = this.onInvalid(error);
      else if (!this.hasReported) {
        this.hasReported = true;
        console.error(`${error.message} It is skipped.`, cause);
      }
    }
    if (value !== undefined) yield value;
  }
}

function parseLine<T>(
  line: string,
  parse: ParseLine<T> | LineSchema<T>,
): T | undefined {
  // Some libraries' schemas are functions.
  if (!("~standard" in parse)) return parse(line);
  const result = parse["~standard"].validate(JSON.parse(line));
  if (result instanceof Promise) {
    result.catch(() => {});
    throw new TypeError("A schema for lines has to be synchronous.");
  }
  if (result.issues === undefined) return result.value;
  throw new TypeError(result.issues.map(({ message }) => message).join(" "), {
    cause: result.issues,
  });
}

/** The texts that snapshots show, for looking at what is new without looking at all. */
const sources = new WeakMap<object, GrowingText>();

/** Notes which text a snapshot shows. */
export function nameSource(body: object, source: GrowingText | null): void {
  if (source !== null) sources.set(body, source);
}

/**
 * The values of the lines of a text that grows, each parsed once. It only ever
 * adds to what it knows, so it may be asked in any order, for older bodies too,
 * by renderings that React repeats or throws away: the answer is the same.
 */
export class ParsedLines<T> {
  private text = "";
  private source: GrowingText | undefined;
  private parser: LineParser<T>;
  private values: T[] = [];
  /** For each value, the offset behind its line. */
  private ends: number[] = [];
  /** The values of the last line, without a line break, of a text of this length that is done. */
  private last: { length: number; values: T[] } | null = null;
  /** The newest results: the same values are to be the same array. */
  private results: { count: number; last: unknown; all: readonly T[] }[] = [];

  constructor(parse: ParseLine<T> | LineSchema<T>) {
    this.parser = new LineParser(parse, undefined);
  }

  /** The values of all whole lines of a body: the same array until there are more. */
  of(
    { text, status }: { text: string; status: StreamStatus },
    source: GrowingText | undefined,
    parse: ParseLine<T> | LineSchema<T>,
    onInvalid: LineOptions<T>["onInvalid"],
  ): readonly T[] {
    Object.assign(this.parser, { parse, onInvalid });
    try {
      this.readOn(text, source);
      const isWhole = status === "done" && text.length === this.text.length;
      if (isWhole && this.last?.length !== text.length) {
        this.last = { length: text.length, values: [...this.parser.end()] };
      }
      return this.result(this.countUpTo(text.length), isWhole);
    } catch (error) {
      // React renders again after an error. That must not find the line read.
      this.clear();
      throw error;
    }
  }

  /** Parses what is new in a text. */
  private readOn(text: string, source: GrowingText | undefined): void {
    const isSameSource = source !== undefined && source === this.source;
    // Of one source, a shorter text is an older one. Comparing would copy it.
    if (!isSameSource) {
      this.source = source;
      if (!text.startsWith(this.text) && !this.text.startsWith(text)) {
        this.clear();
      }
    }
    const known = this.text.length;
    if (text.length <= known) return;
    const fresh = isSameSource
      ? source.from(known).slice(0, text.length - known)
      : text.slice(known);
    for (const value of this.parser.push(fresh)) {
      this.values.push(value);
      this.ends.push(this.parser.offset);
    }
    this.text = text;
  }

  private clear(): void {
    const { parse, onInvalid } = this.parser;
    this.parser = new LineParser(parse, onInvalid);
    this.text = "";
    this.values = [];
    this.ends = [];
    this.last = null;
    this.results = [];
  }

  /** How many values are of lines within a text of this length. */
  private countUpTo(length: number): number {
    let count = this.ends.length;
    if (length === this.text.length) return count;
    let low = 0;
    while (low < count) {
      const middle = (low + count) >> 1;
      if ((this.ends[middle] ?? 0) <= length) low = middle + 1;
      else count = middle;
    }
    return low;
  }

  private result(count: number, isWhole: boolean): readonly T[] {
    const last = isWhole ? (this.last?.values ?? []) : [];
    const found = this.results.find(
      (result) => result.count === count && result.last === last[0],
    );
    if (found !== undefined) return found.all;
    const all = this.values.slice(0, count);
    all.push(...last);
    this.results = [{ count, last: last[0], all }, ...this.results.slice(0, 3)];
    return all;
  }
}

/** The text that a snapshot shows. */
export function sourceOf(body: object): GrowingText | undefined {
  return sources.get(body);
}
