/** Text that waits to be saved, and since when. */
export class Unsaved {
  text = "";
  /** Where the text of each append ends (a length of `text`), and when that came (ms). */
  private arrivals: { end: number; at: number }[] = [];

  get length(): number {
    return this.text.length;
  }

  push(text: string, now: number): void {
    this.text += text;
    const last = this.arrivals.at(-1);
    if (last?.at === now) last.end = this.text.length;
    else this.arrivals.push({ end: this.text.length, at: now });
  }

  /** Milliseconds since the oldest character came, 0 if there is none. */
  age(now: number): number {
    const oldest = this.arrivals[0];
    return oldest === undefined ? 0 : now - oldest.at;
  }

  /** Takes `length` code units off the front: they are saved. */
  drop(length: number): void {
    this.text = this.text.slice(length);
    this.arrivals = this.arrivals
      .map(({ end, at }) => ({ end: end - length, at }))
      .filter(({ end }) => end > 0);
  }
}
