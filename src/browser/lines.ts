/** What a line says, `undefined` if it says nothing, as the comments of server-sent events do. */
export type ParseLine<T> = (line: string) => T | undefined;

/**
 * Makes values of the lines of a text that comes in pieces, cut anywhere. A
 * line is whole when its line break has come. Blank lines are left out.
 */
export class LineParser<T> {
  private rest = "";
  /** How many lines there were before `rest`. */
  private count = 0;

  constructor(private readonly parse: ParseLine<T>) {}

  /** The values of the lines that are whole with `text`. Throws what says which line cannot be parsed, and why. */
  *push(text: string): Generator<T, void> {
    if (!text.includes("\n")) {
      // Not searched again with every token of a long line.
      this.rest += text;
      return;
    }
    const lines = (this.rest + text).split("\n");
    this.rest = lines.pop() ?? "";
    yield* this.values(lines);
  }

  /** The value of a last line without a line break, if there is one. */
  *end(): Generator<T, void> {
    const { rest } = this;
    this.rest = "";
    yield* this.values([rest]);
  }

  private *values(lines: string[]): Generator<T, void> {
    for (const line of lines) {
      this.count++;
      if (line.trim() === "") continue;
      const value = this.value(line.endsWith("\r") ? line.slice(0, -1) : line);
      if (value !== undefined) yield value;
    }
  }

  private value(line: string): T | undefined {
    try {
      return this.parse(line);
    } catch (cause) {
      throw new Error(
        `Line ${this.count} of the stream cannot be parsed: ${JSON.stringify(line.slice(0, 80))}.`,
        { cause },
      );
    }
  }
}
