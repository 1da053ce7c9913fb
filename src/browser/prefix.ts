import { type StreamStatus, isFinal } from "../shared.js";

/** At least this much of the end of a text (UTF-16 code units) is kept apart. */
const TAIL = 65_536;

/**
 * A text that only grows. JavaScript joins strings lazily, and copies a long one the
 * first time it is read. So the end is kept apart: reading there costs the same
 * however long the text is.
 */
export class GrowingText {
  private tail: string;

  constructor(
    public text = "",
    /** The offset where the text starts. */
    public start = 0,
  ) {
    this.tail = text;
  }

  append(piece: string): void {
    this.text += piece;
    // A short text is not kept twice.
    const isShort = this.text.length <= 2 * TAIL;
    this.tail = isShort ? this.text : this.tail + piece;
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
 * The most that an app's query may add to a text that is being written, such as a
 * cursor (UTF-16 code units).
 */
const CURSOR = 3;

export type Prefix = ReturnType<typeof createPrefix>;

/** What another prefix of the same stream has. */
interface Known {
  text: string;
  start: number | null;
  status: StreamStatus;
}

/**
 * A reader's part of a stream. Text arrives in pieces that say where they start, over
 * HTTP or from the database, or as a whole from the app's query. The result only
 * grows, in whichever order they arrive, unless the database has a different text.
 *
 * @param before Another prefix of the same stream, to start with.
 */
export function createPrefix(before?: Known) {
  /** The offset where the text starts: 0, unless only the end is read. */
  let start: number | null = null;
  /** The text from `start` on, in pieces. */
  let pieces = new GrowingText();
  /** The whole text from the query, if it is longer than the pieces, or different. */
  let whole = "";
  /** Whether `whole` arrived before anything was saved, so that any text replaces it. */
  let isPlaceholder = false;
  let saved: StreamStatus = "pending";

  /** Appends the new part of a piece. False if it contradicts the text. */
  function extend(offset: number, text: string): boolean {
    start ??= pieces.start = offset;
    // Text after a gap would show in the wrong place. It will come again.
    if (offset > prefix.end) return true;
    text = text.slice(Math.max(0, start - offset));
    offset = Math.max(offset, start);
    const overlap = pieces.from(offset - start).slice(0, text.length);
    if (overlap !== text.slice(0, overlap.length)) return false;
    pieces.append(text.slice(overlap.length));
    return true;
  }

  /** Decides whether to show the whole or the pieces. */
  function compare(cursor = CURSOR): void {
    const { text } = pieces;
    // Usually there is no whole. Comparing would copy all the text for each token.
    if (text === "" || whole === "") return;
    // A query that is ahead stays on screen.
    if (!isPlaceholder && whole !== text && whole.startsWith(text)) return;
    const certain = whole.slice(0, Math.max(0, whole.length - cursor));
    if (isPlaceholder || text.startsWith(certain)) whole = "";
    else prefix.isOverruled = true;
  }

  const prefix = {
    /** Whether the database's text differs from HTTP's, which then no longer counts. */
    isOverruled: false,

    /** Adds the new part of a piece from HTTP that starts at `offset`. */
    receive(offset: number, text: string): void {
      if (prefix.isOverruled || !extend(offset, text)) {
        prefix.isOverruled = true;
      } else {
        compare();
      }
    },

    /**
     * Adds a piece from the database, which is right where the two differ. Returns
     * whether they differ for the first time: then the text before the piece is in
     * doubt too.
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
     * Sets the whole text from the app's query. The query may return anything, so
     * this replaces what it returned before. But not with nothing, because that is
     * how a deleted stream reads.
     */
    replace(text: string, status: StreamStatus): void {
      if (text === "") return;
      whole = text;
      isPlaceholder = status === "pending";
      compare(isFinal(status) ? 0 : CURSOR);
    },

    /** Adds what another reader of the stream has, unless its text is a different one. */
    adopt(other: Known): void {
      // While a stream is pending, its text is only the query's placeholder.
      if (other.status === "pending") {
        if (prefix.text === "") prefix.replace(other.text, "pending");
      } else if (other.text && extend(other.start ?? 0, other.text)) compare();
      prefix.update(other.status);
    },

    /** Sets the status from the database. */
    update(status: StreamStatus): void {
      if (!isFinal(saved) && status !== "pending") saved = status;
    },

    get start(): number | null {
      return start;
    },

    /** The end of the pieces. */
    get end(): number {
      return (start ?? 0) + pieces.text.length;
    },

    get text(): string {
      return whole || pieces.text;
    },

    /** The growing text, if it is shown. */
    get source(): GrowingText | null {
      return whole ? null : pieces;
    },

    get status(): StreamStatus {
      const begun = isPlaceholder ? pieces.text : prefix.text;
      return saved === "pending" && begun ? "streaming" : saved;
    },
  };
  if (before) prefix.adopt(before);
  return prefix;
}
