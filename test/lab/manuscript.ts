import type {
  BackgroundWriter,
  ChunkAppender,
} from "../../src/client/index.js";
import { isHighSurrogate, isLowSurrogate } from "../../src/shared.js";
import type { Action } from "./action.js";
import type { Writing } from "./schedule.js";

/** Sentences that are all different, four per line, with characters of one to four bytes. */
let story = "";
let sentences = 0;
export function storyOf(length: number): string {
  const scripts = ["plain", "naïve", "字符串", "🎭 mask", "👩‍👩‍👧 family"];
  while (story.length < length) {
    const i = sentences++;
    const end = i % 4 === 3 ? "\n" : " ";
    story += `Sentence ${i} is ${scripts[i % scripts.length]}.${end}`;
  }
  return story;
}

/** Writers that do not take over from each other start this far apart in the story, so a text shows who wrote it. */
const APART = 333;

/** What one writer writes, and how far it has got. */
export class Manuscript {
  /** Everything it will append, as readers should see it: half a character that stays alone is U+FFFD. */
  readonly whole: string;
  /** How much of it has been appended (code units), and when. */
  length = 0;
  readonly arrivals: { at: number; end: number }[] = [];
  started = false;
  /** How and when its function ended. */
  ended: "returned" | "threw" | "was stopped" | null = null;
  endedAt = Infinity;
  /** When it was told to stop. */
  stoppedAt: number | null = null;
  private readonly texts: string[];
  private readonly raw: string;
  /** The end of the last append that has resolved. */
  private taken = 0;

  /**
   * @param index The number of this writer; null if all write the same text, each from
   *   where the one before stopped.
   * @param throwsAt The piece before which it throws.
   */
  constructor(
    private readonly writing: Writing,
    index: number | null,
    private readonly throwsAt: number | null,
  ) {
    const { pieces, scale } = writing;
    let end = (index ?? 0) * APART;
    this.texts = pieces.map(({ half, length }) => {
      const start = end;
      end += length * scale;
      // A cut between two writers is not inside a character.
      if (index !== null) return half + storyOf(end).slice(start, end);
      if (isLowSurrogate(storyOf(end + 1).charCodeAt(end))) end++;
      return story.slice(start, end);
    });
    this.raw = this.texts.join("");
    this.whole = this.raw.replace(/\p{Surrogate}/gu, "\uFFFD");
  }

  /** How much of what was appended can be read: half a character waits for the other half, or for the end. */
  get readable(): number {
    return this.ended === "returned" || this.ended === "threw"
      ? this.length
      : this.withoutHalf(this.length);
  }

  /** How much the writer knows to be accepted. Text after the end of a stream is refused. */
  get accepted(): number {
    return this.withoutHalf(this.taken);
  }

  private withoutHalf(length: number): number {
    return isHighSurrogate(this.raw.charCodeAt(length - 1))
      ? length - 1
      : length;
  }

  /**
   * The function that an app passes to `stream` or `generate`.
   *
   * @param startOffset Returns how much is already saved.
   */
  writer(
    action: Action,
    startOffset = () => Promise.resolve(0),
  ): BackgroundWriter {
    const { style } = this.writing;
    const { clock } = action.deployment;
    return (append, signal) => {
      this.started = true;
      signal.addEventListener("abort", () => {
        this.stoppedAt = clock.time;
        // On a deployment, a listener that throws ends the action.
        if (style === "throws when stopped") action.end();
      });
      const told = this.tell(action, startOffset, signal);
      return style === "generates" ? told : this.appendAll(told, append);
    };
  }

  private async *tell(
    action: Action,
    startOffset: () => Promise<number>,
    signal: AbortSignal,
  ) {
    const { style, pieces, pace, throws } = this.writing;
    const { clock } = action.deployment;
    let how: Manuscript["ended"] = "was stopped";
    try {
      let known = await startOffset();
      this.length = this.taken = known;
      for (const [i, text] of this.texts.entries()) {
        if (i === this.throwsAt) throw new Error("429 Too many requests.");
        const rest = text.slice(known);
        known -= text.length - rest.length;
        if (rest === "" && text !== "") continue;
        // A yielded text is appended at once.
        if (!signal.aborted) {
          this.length += rest.length;
          this.arrivals.push({ at: clock.time, end: this.length });
        }
        yield rest;
        if (style === "generates") this.taken = this.length;
        const pause = (pieces[i]?.pause ?? 0) * pace;
        if (pause > 0) await clock.wait(pause, action);
      }
      if (throws) throw new Error("The model broke down.");
      how = "returned";
    } catch (error) {
      how = "threw";
      throw error;
    } finally {
      this.ended = how;
      this.endedAt = clock.time;
    }
  }

  private async appendAll(told: AsyncGenerator<string>, append: ChunkAppender) {
    const { style } = this.writing;
    for await (const text of told) {
      const { length } = this;
      const done = append(text);
      const settled = done.then(
        () => void (this.taken = length),
        () => {},
      );
      if (style === "awaits its appends") await done;
      if (style === "ignores its signal") await settled;
    }
  }
}
