import type { StreamStatus } from "../shared.js";
import type { GrowingText } from "./prefix.js";

/** Returns the value of a line, or `undefined` to leave the line out, such as a comment of server-sent events. */
export type ParseLine<T> = (line: string) => T | undefined;

/**
 * The shape of a line of JSON: a schema of zod, valibot, arktype or any other library
 * that implements Standard Schema (https://standardschema.dev). It must be synchronous.
 */
export interface LineSchema<T> {
  /** The properties of Standard Schema. */
  readonly "~standard": {
    /** The version of Standard Schema. */
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

/** The result of a schema's check. */
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
   * Called with each line that cannot be parsed. Its return value replaces the line;
   * `undefined` skips it; throwing ends the reading. Default: skip the line, and
   * report the first one of a stream in the console.
   */
  onInvalid?: ((error: InvalidLineError) => T | undefined | void) | undefined;
}

/**
 * Parses the lines of a text that arrives in pieces, cut anywhere. A line is complete
 * when its line break has arrived. Blank lines are left out.
 */
export class LineParser<T> {
  private rest = "";
  /** The number of lines before `rest`. */
  private count = 0;
  /** The end of the last parsed line. */
  offset = 0;
  private hasReported = false;

  constructor(
    public parse: ParseLine<T> | LineSchema<T>,
    public onInvalid: LineOptions<T>["onInvalid"],
    /** Whether the text starts in the middle of a line, as with `tail`. That line is left out. */
    public isCut = false,
  ) {}

  /** The values of the lines that `text` completes. */
  *push(text: string): Generator<T, void> {
    if (!text.includes("\n")) {
      // Not searched again for every token of a long line.
      this.rest += text;
      return;
    }
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop() ?? "";
    for (const line of lines) {
      this.offset += line.length + 1;
      yield* this.value(line);
      this.count++;
    }
  }

  /** The value of a last line without a line break, if there is one. */
  *end(): Generator<T, void> {
    yield* this.value(this.rest);
  }

  private *value(text: string): Generator<T, void> {
    if (text.trim() === "" || (this.isCut && this.count === 0)) return;
    const line = text.endsWith("\r") ? text.slice(0, -1) : text;
    let value: T | undefined | void;
    try {
      value = parseLine(line, this.parse);
    } catch (cause) {
      const error = new InvalidLineError(line, this.count + 1, cause);
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
    throw new TypeError("A schema for lines must be synchronous.");
  }
  if (result.issues === undefined) return result.value;
  throw new TypeError(result.issues.map(({ message }) => message).join(" "), {
    cause: result.issues,
  });
}

/**
 * The values of the lines of a growing text, each parsed once. It only ever adds to
 * what it knows, so it may be asked in any order, even for older bodies, by renders
 * that React repeats or discards: the result is the same.
 */
export function createParsedLines<T>() {
  let text = "";
  let source: GrowingText | undefined;
  let parser: LineParser<T>;
  let values: T[] = [];
  /** For each value, the end of its line. */
  let ends: number[] = [];
  /** The values of a last line without a line break, once the text is done. */
  let last: T[] | null = null;
  /**
   * The newest results by their number of lines, the whole text's under -1, so that
   * the same values are the same array.
   */
  let results = new Map<number, readonly T[]>();

  function clear(): void {
    text = "";
    values = [];
    ends = [];
    last = null;
    results = new Map();
  }

  /** Parses the new part of a text. */
  function readOn(
    longer: string,
    from: GrowingText | undefined,
    parse: ParseLine<T> | LineSchema<T>,
    onInvalid: LineOptions<T>["onInvalid"],
  ): void {
    // From the same source, a shorter text is an older one. Comparing would copy it.
    const isSame = from !== undefined && from === source;
    source = from;
    if (!isSame && !longer.startsWith(text) && !text.startsWith(longer)) {
      clear();
    }
    if (text === "") parser = new LineParser(parse, onInvalid, !!from?.start);
    Object.assign(parser, { parse, onInvalid });
    if (longer.length <= text.length) return;
    const fresh = isSame
      ? from.from(text.length).slice(0, longer.length - text.length)
      : longer.slice(text.length);
    for (const value of parser.push(fresh)) {
      values.push(value);
      ends.push(parser.offset);
    }
    text = longer;
    last = null;
    results.delete(-1);
  }

  /** The values of a body's complete lines: the same array until there are more. */
  return (
    body: { text: string; status: StreamStatus },
    parse: ParseLine<T> | LineSchema<T>,
    onInvalid: LineOptions<T>["onInvalid"],
  ): readonly T[] => {
    const { length } = body.text;
    try {
      readOn(body.text, sources.get(body), parse, onInvalid);
      const isWhole = body.status === "done" && length === text.length;
      if (isWhole) last ??= [...parser.end()];
      let count = ends.length;
      while (count > 0 && ends[count - 1]! > length) count--;
      const rest = (isWhole && last) || [];
      const key = rest.length > 0 ? -1 : count;
      let result = results.get(key);
      if (result === undefined) {
        const all = values.slice(0, count);
        all.push(...rest);
        results.set(key, (result = all));
        // The oldest is the first.
        for (const old of results.keys()) {
          if (results.size > KEPT_RESULTS) results.delete(old);
        }
      }
      return result;
    } catch (error) {
      // React renders again after an error, and must not find the line read.
      clear();
      throw error;
    }
  };
}

/** The results that a page may still show, deferred or not. */
const KEPT_RESULTS = 4;

/** The texts behind snapshots. They give access to the new part without touching the rest. */
const sources = new WeakMap<object, GrowingText>();

/** Records which text a snapshot shows. */
export function nameSource(body: object, source: GrowingText | null): void {
  if (source !== null) sources.set(body, source);
}

/** The texts of `readStream` that may start in the middle of a line. */
export const tails = new WeakSet<object>();
