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

/** A text, and the values of its lines as far as they are parsed. */
interface ParsedText<T> {
  text: string;
  source: GrowingText | undefined;
  parser: LineParser<T>;
  values: T[];
  /** For each value, the end of its line. */
  ends: number[];
  /** The values of a last line without a line break, once the text is done. */
  last: T[] | null;
  /**
   * Results by their number of lines, the whole text's under -1, so that the same
   * values are the same array. The one used last is at the end.
   */
  results: Map<number, readonly T[]>;
}

/** The results that a page may show in turn: the newest, and a deferred one. */
const KEPT_RESULTS = 2;
/** The texts that a page may show in turn: the newest, and a deferred one of another stream. */
const KEPT_TEXTS = 2;

/**
 * Returns the values of a body's complete lines, and parses each line once.
 *
 * React calls this during render, so it must not change anything that another render
 * could notice. It only fills a cache, as `useMemo` does. Arrays that it has returned
 * never change, and each result depends only on the body passed in. Parsing in an
 * effect instead would show lines one render late, and never on a server.
 */
export function createParsedLines<T>() {
  let texts: ParsedText<T>[] = [];

  /** The same array until there are more lines. */
  return (
    body: { text: string; status: StreamStatus },
    parse: ParseLine<T> | LineSchema<T>,
    onInvalid: LineOptions<T>["onInvalid"],
  ): readonly T[] => {
    const { text, status } = body;
    const source = sources.get(body);
    const parsed: ParsedText<T> = texts.find(
      (one) =>
        source !== undefined &&
        one.source === source &&
        (status !== "done" || text.length >= one.text.length),
    ) ??
      texts.find((one) => isSameText(one, text, status, source)) ?? {
        text: "",
        source,
        parser: new LineParser(parse, onInvalid),
        values: [],
        ends: [],
        last: null,
        results: new Map(),
      };
    // React renders again after an error, and must not find the line read.
    texts = texts.filter((one) => one !== parsed);
    Object.assign(parsed.parser, { parse, onInvalid });
    readOn(parsed, text, source);
    const result = resultOf(parsed, text.length, status);
    texts = [parsed, ...texts].slice(0, KEPT_TEXTS);
    return result;
  };
}

/** Whether a body's text continues a known one, or is its beginning. */
function isSameText<T>(
  { text: known, parser }: ParsedText<T>,
  text: string,
  status: StreamStatus,
  source: GrowingText | undefined,
): boolean {
  if (known !== "" && parser.isCut !== !!source?.start) return false;
  // A text that is done has no continuation.
  return (
    text.startsWith(known) || (status !== "done" && known.startsWith(text))
  );
}

/** Parses the new part of a text, if there is one. */
function readOn<T>(
  parsed: ParsedText<T>,
  text: string,
  source: GrowingText | undefined,
): void {
  const known = parsed.text.length;
  if (text.length <= known) return;
  if (known === 0) parsed.parser.isCut = !!source?.start;
  // Slicing the text itself would copy all of it.
  const isSame = source !== undefined && source === parsed.source;
  const fresh = isSame
    ? source.from(known).slice(0, text.length - known)
    : text.slice(known);
  for (const value of parsed.parser.push(fresh)) {
    parsed.values.push(value);
    parsed.ends.push(parsed.parser.offset);
  }
  Object.assign(parsed, { text, source, last: null });
  parsed.results.delete(-1);
}

/** The values of the first `length` code units. */
function resultOf<T>(
  parsed: ParsedText<T>,
  length: number,
  status: StreamStatus,
): readonly T[] {
  const { text, parser, values, ends, results } = parsed;
  const isWhole = status === "done" && length === text.length;
  if (isWhole) parsed.last ??= [...parser.end()];
  let count = ends.length;
  while (count > 0 && ends[count - 1]! > length) count--;
  const rest = (isWhole && parsed.last) || [];
  const key = rest.length > 0 ? -1 : count;
  let result = results.get(key);
  result ??= key < 0 ? [...values, ...rest] : values.slice(0, count);
  results.delete(key);
  results.set(key, result);
  const [oldest] = results.keys();
  if (results.size > KEPT_RESULTS) results.delete(oldest!);
  return result;
}

/** The texts behind snapshots. They give access to the new part without touching the rest. */
const sources = new WeakMap<object, GrowingText>();

/** Records which text a snapshot shows. */
export function nameSource(body: object, source: GrowingText | null): void {
  if (source !== null) sources.set(body, source);
}

/** The texts of `readStream` that may start in the middle of a line. */
export const tails = new WeakSet<object>();
