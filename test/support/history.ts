import { type StreamState, isFinal } from "../../src/shared.js";

/** Everything that a reader showed. */
export class History {
  renders = 0;
  readonly shown: StreamState[] = [];

  note(body: StreamState): void {
    this.renders++;
    if (this.shown.at(-1) !== body) this.shown.push(body);
  }

  get last(): StreamState {
    return this.shown.at(-1) ?? { text: "", status: "pending" };
  }

  /** The first step that was not forward, in words; null if there is none. */
  stepBack(): string | null {
    for (const [i, body] of this.shown.entries()) {
      const before = this.shown[i - 1];
      if (before === undefined) continue;
      if (!body.text.startsWith(before.text)) {
        return `${before.text.length} characters were followed by ${body.text.length} that do not begin with them`;
      }
      const back =
        isFinal(before.status) ||
        (before.status === "streaming" && body.status === "pending");
      if (back && body.status !== before.status) {
        return `${before.status} was followed by ${body.status}`;
      }
    }
    return null;
  }
}
