import type {
  BackgroundWriter,
  ChunkAppender,
} from "../../src/client/index.js";
import { isLowSurrogate } from "../../src/shared.js";
import type { Action } from "./action.js";
import type { LabClock } from "./lab-clock.js";
import type { Writing } from "./schedule.js";

/** Sentences that are all different, a few to a line, with characters of one to four bytes. */
let story = "";
let sentences = 0;
function storyOf(length: number): string {
  const scripts = ["plain", "naïve", "字符串", "🎭 mask", "👩‍👩‍👧 family"];
  while (story.length < length) {
    const i = sentences++;
    const end = i % 4 === 3 ? "\n" : " ";
    story += `Sentence ${i} is ${scripts[i % scripts.length]}.${end}`;
  }
  return story;
}

/** What each of several writers of a stream would write, unless they take it over, begins so far apart: it shows who wrote. */
const APART = 333;

/** What one writer writes, and how far it is. */
export class Manuscript {
  /** All that it means to append, as everybody should read it: half a character without its other half is U+FFFD. */
  readonly whole: string;
  /** How much of it has been appended (code units), and when. */
  length = 0;
  readonly arrivals: { at: number; end: number }[] = [];
  started = false;
  /** How much was saved when it began. */
  start = 0;
  /** How its function ended, if it has. */
  get ended(): "returned" | "threw" | "was stopped" | null {
    return this.ending;
  }
  set ended(how: "returned" | "threw" | "was stopped") {
    this.ending = how;
    this.endedAt = this.clock.time;
  }
  private ending: "returned" | "threw" | "was stopped" | null = null;
  endedAt = Infinity;
  /** When it was told to stop. */
  stoppedAt: number | null = null;
  private readonly texts: string[];

  /**
   * @param index Which of several writers this is; null for one of those who write
   *   the same text, each from where the one before has stopped.
   * @param throwsAt Before which piece it throws.
   */
  constructor(
    private readonly clock: LabClock,
    private readonly writing: Writing,
    index: number | null,
    private readonly throwsAt: number | null,
  ) {
    const { pieces, scale } = writing;
    let end = (index ?? 0) * APART;
    this.texts = pieces.map(({ half, length }) => {
      const start = end;
      end += length * scale;
      // A character of two halves is not divided between two writers.
      if (index !== null) return half + storyOf(end).slice(start, end);
      if (isLowSurrogate(storyOf(end + 1).charCodeAt(end))) end++;
      return story.slice(start, end);
    });
    this.whole = this.texts.join("").replace(/\p{Surrogate}/gu, "\uFFFD");
  }

  /** How much of what has been appended can be read: a first half of a character waits for its second, or for the end. */
  get readable(): number {
    return this.ended === "returned" || this.ended === "threw"
      ? this.length
      : this.withoutHalf(this.length);
  }

  /** How much its writer knows to be taken: those appends have resolved. Text that comes after the end of a stream is refused. */
  get accepted(): number {
    return this.withoutHalf(this.taken);
  }
  private taken = 0;

  private withoutHalf(length: number): number {
    const last = this.raw.charCodeAt(length - 1);
    return last >= 0xd800 && last <= 0xdbff ? length - 1 : length;
  }

  private rawText: string | null = null;
  private get raw(): string {
    return (this.rawText ??= this.texts.join(""));
  }

  /**
   * The function that an app would hand to `stream` or `generate`, in this action.
   *
   * @param begin Says how much is saved already.
   */
  writer(action: Action, begin?: () => Promise<number>): BackgroundWriter {
    const { writing, clock } = this;
    const texts = async function* (this: Manuscript) {
      let known = (await begin?.()) ?? 0;
      this.start = this.length = this.taken = known;
      for (const [i, text] of this.texts.entries()) {
        if (i === this.throwsAt) throw new Error("429 Too many requests.");
        const rest = text.slice(known);
        known -= text.length - rest.length;
        if (rest === "" && text !== "") continue;
        yield rest;
        const pause = (writing.pieces[i]?.pause ?? 0) * writing.pace;
        if (pause > 0) await clock.waitIn(action, pause);
      }
      if (writing.throws) throw new Error("The model broke down.");
    }.bind(this);

    return (append, signal) => {
      this.started = true;
      signal.addEventListener("abort", () => {
        this.stoppedAt = clock.time;
        // On a deployment, a listener that throws ends the action.
        if (writing.style === "throws when stopped") action.end();
      });
      if (writing.style === "generates") return this.generated(texts(), signal);
      return this.appended(texts(), append, signal);
    };
  }

  private async *generated(texts: AsyncGenerator<string>, signal: AbortSignal) {
    try {
      for await (const text of texts) {
        // It is appended as soon as it is yielded.
        if (!signal.aborted) this.arrive(text);
        yield text;
        this.taken = this.length;
      }
      this.ended = "returned";
    } catch (error) {
      this.ended = "threw";
      throw error;
    } finally {
      this.ended ??= "was stopped";
    }
  }

  private async appended(
    texts: AsyncGenerator<string>,
    append: ChunkAppender,
    signal: AbortSignal,
  ) {
    try {
      for await (const text of texts) {
        if (!signal.aborted) this.arrive(text);
        const { length } = this;
        const done = append(text);
        void done.then(
          () => (this.taken = length),
          () => {},
        );
        if (this.writing.style === "awaits its appends") await done;
        if (this.writing.style === "ignores its signal") {
          await done.catch(() => {});
        }
      }
      this.ended = "returned";
    } catch (error) {
      this.ended = signal.aborted ? "was stopped" : "threw";
      throw error;
    }
  }

  private arrive(text: string): void {
    this.length += text.length;
    this.arrivals.push({ at: this.clock.time, end: this.length });
  }
}
