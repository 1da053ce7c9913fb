import { type StreamStatus, isFinal } from "../shared.js";

/** How much of the end of a text (UTF-16 code units) is kept apart, at least. */
const TAIL = 65_536;

/**
 * A text that only grows. JavaScript joins strings lazily, and copies all of a
 * long one at the first look into it. So its end is kept apart: looking there
 * costs the same however long the text is.
 */
export class GrowingText {
  private tail: string;

  constructor(
    public text = "",
    /** The offset at which the text starts. */
    public start = 0,
  ) {
    this.tail = text.slice(-TAIL);
  }

  append(piece: string): void {
    this.text += piece;
    this.tail += piece;
    if (this.tail.length > 2 * TAIL) this.tail = this.tail.slice(-TAIL);
  }

  /** The text from an index on. */
  from(index: number): string {
    const apart = this.text.length - this.tail.length;
    return index >= apart
      ? this.tail.slice(index - apart)
      : this.text.slice(index);
  }
}

/**
 * What an app's query may add to a text that is being written, such as a
 * cursor: at most this long (UTF-16 code units).
 */
const CURSOR = 3;

export type Prefix = ReturnType<typeof createPrefix>;

/**
 * What a reader has of a stream. Text comes in pieces that say where they
 * start, over HTTP or from the database, or as a whole from the app's query.
 * What is made of them only goes forward, in whichever order they arrive,
 * unless the database says that the text is another one.
 *
 * @param before Another prefix of the same stream, to start with.
 */
export function createPrefix(before?: {
  text: string;
  start: number | null;
  status: StreamStatus;
}) {
  /** The offset at which the text starts: 0, unless only its end is read. */
  let start = before?.start ?? null;
  /** The text from `start` on, in pieces. */
  let pieces = new GrowingText(before?.text, start ?? 0);
  /** What the query gave as a whole, if that is more than the pieces, or another text. */
  let whole = "";
  /** Whether `whole` was given before anything was saved, so that any text is better. */
  let isPlaceholder = false;
  let saved: StreamStatus = before?.status ?? "pending";

  /** Appends what is new in a piece. False if it contradicts what is there. */
  function extend(offset: number, text: string): boolean {
    start ??= pieces.start = offset;
    // Text behind a gap would be shown in the wrong place; it will come again.
    if (offset > prefix.end) return true;
    if (offset < start) {
      text = text.slice(start - offset);
      offset = start;
    }
    const known = pieces.from(offset - start).slice(0, text.length);
    if (known !== text.slice(0, known.length)) return false;
    if (text.length > known.length) pieces.append(text.slice(known.length));
    return true;
  }

  /** Finds out which is shown from now on, the whole or the pieces. */
  function compare(cursor = CURSOR): void {
    const { text } = pieces;
    // A query that is ahead goes on being shown.
    if (text === "" || whole === "") return;
    if (!isPlaceholder && whole !== text && whole.startsWith(text)) return;
    const certain = whole.slice(0, Math.max(0, whole.length - cursor));
    if (isPlaceholder || text.startsWith(certain)) whole = "";
    else prefix.isOverruled = true;
  }

  const prefix = {
    /** Whether the database's text is another one than HTTP's. Then that is not to be read any more. */
    isOverruled: false,

    /** Takes on a piece from HTTP that starts at `offset`, as far as it is new. */
    receive(offset: number, text: string): void {
      if (prefix.isOverruled || !extend(offset, text)) {
        prefix.isOverruled = true;
      } else {
        compare();
      }
    },

    /**
     * Takes on a piece from the database, which is right where the two differ.
     * Returns whether they do, for the first time: then what comes before the
     * piece is in doubt, too.
     */
    save(offset: number, text: string): boolean {
      whole = "";
      if (extend(offset, text)) return false;
      const first = Math.min(start ?? 0, offset);
      const before = pieces.text.slice(0, offset - first);
      start = first;
      pieces = new GrowingText(before + text, first);
      const isNews = !prefix.isOverruled;
      prefix.isOverruled = true;
      return isNews;
    },

    /**
     * Takes on all of the text, as the app's query gives it. The query may make
     * of it what it likes, so this takes the place of what it gave before; but
     * not with nothing, which is what a stream reads as that has been deleted.
     */
    replace(text: string, status: StreamStatus): void {
      if (text === "") return;
      whole = text;
      isPlaceholder = status === "pending";
      compare(isFinal(status) ? 0 : CURSOR);
    },

    /** Takes on what the database says of the status. */
    update(status: StreamStatus): void {
      if (!isFinal(saved) && status !== "pending") saved = status;
    },

    get start(): number | null {
      return start;
    },

    /** The offset behind the pieces. */
    get end(): number {
      return (start ?? 0) + pieces.text.length;
    },

    get text(): string {
      return whole || pieces.text;
    },

    /** The text that grows, if that is what is shown. */
    get source(): GrowingText | null {
      return whole ? null : pieces;
    },

    get status(): StreamStatus {
      const begun = isPlaceholder ? pieces.text : prefix.text;
      return saved === "pending" && begun ? "streaming" : saved;
    },
  };
  return prefix;
}
