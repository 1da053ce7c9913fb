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

  constructor(public text = "") {
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
const PLACEHOLDER = -1;

/**
 * What a reader has of a stream. Text comes in pieces that say where they
 * start, over HTTP or from the database, or as a whole from the app's query.
 * What is made of them only goes forward, in whichever order they arrive,
 * unless the database says that the text is another one.
 */
export class Prefix {
  /** The text from `start` on, in pieces. */
  pieces = new GrowingText();
  /** The offset at which the text starts: 0, unless only its end is read. */
  private start: number | null = null;
  /** What the query gave as a whole, if that is more than the pieces, or another text. */
  private whole = "";
  /** How much of `whole` is known to be the same as the pieces. */
  private agreed = 0;
  private saved: StreamStatus = "pending";
  /** Whether the database's text is another one than HTTP's. Then that is not to be read any more. */
  isOverruled = false;

  /** The offset behind the pieces. */
  get end(): number {
    return (this.start ?? 0) + this.pieces.text.length;
  }

  /** Takes on a piece from HTTP that starts at `offset`, as far as it is new. */
  receive(offset: number, text: string): void {
    if (this.isOverruled || !this.extend(offset, text)) {
      this.isOverruled = true;
      return;
    }
    this.compare();
  }

  /**
   * Takes on a piece from the database, which is right where the two differ.
   * Returns whether they do, for the first time: then what comes before the
   * piece is in doubt, too.
   */
  save(offset: number, text: string): boolean {
    this.whole = "";
    if (this.extend(offset, text)) return false;
    const start = Math.min(this.start ?? 0, offset);
    const before = this.pieces.text.slice(0, offset - start);
    this.start = start;
    this.pieces = new GrowingText(before + text);
    const isFirst = !this.isOverruled;
    this.isOverruled = true;
    return isFirst;
  }

  /** Appends what is new in a piece. False if it contradicts what is there. */
  private extend(offset: number, text: string): boolean {
    const { pieces } = this;
    const start = (this.start ??= offset);
    const { end } = this;
    // Text behind a gap would be shown in the wrong place; it will come again.
    if (offset > end) return true;
    if (offset < start) {
      text = text.slice(start - offset);
      offset = start;
    }
    if (offset < end) {
      const known = pieces.from(offset - start).slice(0, text.length);
      if (!isSame(known, text, known.length)) return false;
    }
    if (offset + text.length > end) pieces.append(text.slice(end - offset));
    return true;
  }

  /**
   * Takes on all of the text, as the app's query gives it. The query may make
   * of it what it likes, so this takes the place of what it gave before; but
   * not with nothing, which is what a stream reads as that has been deleted.
   */
  replace(text: string, status: StreamStatus): void {
    if (text === "") return;
    this.whole = text;
    // Nothing is saved yet, so this is no more than a placeholder.
    this.agreed = status === "pending" ? PLACEHOLDER : 0;
    this.compare(isFinal(status));
  }

  /** Finds out which is shown from now on, the whole or the pieces. */
  private compare(isExact = false): void {
    const { whole, pieces } = this;
    if (whole === "") return;
    if (this.agreed === PLACEHOLDER) {
      if (pieces.text !== "") this.whole = "";
      return;
    }
    const fresh = pieces.from(this.agreed);
    const rest = whole.slice(this.agreed);
    const common = commonLength(fresh, rest);
    this.agreed += common;
    // All of the pieces are in the whole, which goes on.
    if (common === fresh.length && common < rest.length) return;
    if (
      common === rest.length ||
      (!isExact && rest.length - common <= CURSOR)
    ) {
      this.whole = "";
    } else {
      this.isOverruled = true;
    }
  }

  /** Takes on what the database says of the status. */
  update(status: StreamStatus): void {
    if (!isFinal(this.saved) && status !== "pending") this.saved = status;
  }

  /** Another prefix with the same text and status. */
  copy(): Prefix {
    const copy = new Prefix();
    Object.assign(copy, this);
    copy.pieces = new GrowingText(this.pieces.text);
    return copy;
  }

  get text(): string {
    return this.whole === "" ? this.pieces.text : this.whole;
  }

  /** The text that grows, if that is what is shown. */
  get source(): GrowingText | null {
    return this.whole === "" ? this.pieces : null;
  }

  get status(): StreamStatus {
    const begun =
      this.pieces.text !== "" ||
      (this.whole !== "" && this.agreed !== PLACEHOLDER);
    return this.saved === "pending" && begun ? "streaming" : this.saved;
  }
}

function isSame(a: string, b: string, length: number): boolean {
  return a.slice(0, length) === b.slice(0, length);
}

function commonLength(a: string, b: string): number {
  const most = Math.min(a.length, b.length);
  if (isSame(a, b, most)) return most;
  let same = 0;
  while (a.charCodeAt(same) === b.charCodeAt(same)) same++;
  return same;
}
