import { LineParser, type ParseLine } from "../browser/lines.js";
import type { StreamBody } from "../shared.js";

/** The values of the lines of a text that grows. Each line is parsed once. */
export class ParsedLines<T> {
  private text = "";
  private ended = false;
  private values: readonly T[] = [];
  private parser = new LineParser<T>((line) => this.parse(line));
  private parse: ParseLine<T> = () => undefined;

  /** The values of all whole lines: the same array until there are more. */
  of({ text, status }: StreamBody, parse: ParseLine<T>): readonly T[] {
    const ended = status === "done";
    const goesOn = this.ended
      ? ended && text === this.text
      : text.startsWith(this.text);
    if (!goesOn) this.clear();
    this.parse = parse;
    try {
      const fresh = [...this.parser.push(text.slice(this.text.length))];
      if (ended && !this.ended) fresh.push(...this.parser.end());
      if (fresh.length > 0) this.values = [...this.values, ...fresh];
    } catch (error) {
      // React renders again after an error. That must not find the line read.
      this.clear();
      throw error;
    }
    this.text = text;
    this.ended = ended;
    return this.values;
  }

  private clear(): void {
    this.text = "";
    this.ended = false;
    this.values = [];
    this.parser = new LineParser((line) => this.parse(line));
  }
}
