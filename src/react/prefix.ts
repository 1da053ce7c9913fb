import { type StreamStatus, isFinal } from "../shared.js";
import { continuation } from "../protocol.js";

/**
 * What a reader has of a stream. Text comes in pieces that say where they
 * start, over HTTP or from the database, or as a whole from the app's query.
 * What is made of them only goes forward, in whichever order they arrive.
 */
export class Prefix {
  private pieces = "";
  private whole = "";
  private saved: StreamStatus = "pending";

  /** Takes on a piece that starts at `offset`, as far as it is new. */
  extend(offset: number, text: string): void {
    // Text behind a gap would be shown in the wrong place; it will come again.
    this.pieces += continuation(this.length, offset, text) ?? "";
  }

  /**
   * Takes on all of the text, as the app's query gives it. The query may make
   * of it what it likes, so this takes the place of what it gave before; but
   * not with nothing, which is what a stream reads as that has been deleted.
   */
  replace(text: string): void {
    if (text === "") return;
    // One copy is enough, and the client keeps its own.
    if (text === this.pieces) this.pieces = text;
    this.whole = this.pieces.startsWith(text) ? "" : text;
  }

  /** Takes on what the database says of the status. */
  update(status: StreamStatus): void {
    if (!isFinal(this.saved) && status !== "pending") this.saved = status;
  }

  /** The longer of the two, if one begins with the other; else what the query says. */
  get text(): string {
    const { pieces, whole } = this;
    return whole === "" || pieces.startsWith(whole) ? pieces : whole;
  }

  get status(): StreamStatus {
    const begun = this.pieces !== "" || this.whole !== "";
    return this.saved === "pending" && begun ? "streaming" : this.saved;
  }

  /** The offset behind the pieces. */
  get length(): number {
    return this.pieces.length;
  }
}
