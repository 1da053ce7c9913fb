import { isFinal, type StreamBody, type StreamStatus } from "../shared.js";

/**
 * What a reader has of a stream: a prefix of its text, and what is known of its
 * status. Both only ever go forward, in whichever order the news arrives.
 */
export class Prefix {
  text = "";
  private saved: StreamStatus = "pending";

  /** Takes on text that starts at `offset`, as far as it is new. */
  extend(offset: number, text: string): void {
    const known = this.text.length - offset;
    // Text behind a gap would be shown in the wrong place; it will come again.
    if (known >= 0 && known < text.length) this.text += text.slice(known);
  }

  /** Takes on what the database says of the status. */
  update(status: StreamStatus): void {
    if (!isFinal(this.saved) && status !== "pending") this.saved = status;
  }

  get status(): StreamStatus {
    return this.saved === "pending" && this.text !== ""
      ? "streaming"
      : this.saved;
  }

  get body(): StreamBody {
    return { text: this.text, status: this.status };
  }
}
