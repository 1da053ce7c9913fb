import { stampsOf } from "./sentences.js";

const LONGEST = 60_000;
const END = ". ";

/** How long sentences took to their followers, in ms: counted, not kept. */
export class LagBoard {
  private readonly counts = new Uint32Array(LONGEST + 1);
  private count = 0;

  /** Notes the sentences that have come whole with a piece of text. */
  note(text: string, now: number): void {
    for (const time of stampsOf(text)) {
      const lag = Math.max(0, Math.min(LONGEST, now - time));
      this.counts[lag] = (this.counts[lag] ?? 0) + 1;
      this.count++;
    }
  }

  /** Up to where a text consists of whole sentences. */
  wholeLength(text: string): number {
    const end = text.lastIndexOf(END);
    return end < 0 ? 0 : end + END.length;
  }

  percentiles(): { p50: number; p99: number; max: number } {
    return { p50: this.at(0.5), p99: this.at(0.99), max: this.at(1) };
  }

  private at(share: number): number {
    let left = Math.ceil(this.count * share);
    for (const [lag, count] of this.counts.entries()) {
      left -= count;
      if (left <= 0) return lag;
    }
    return LONGEST;
  }
}
