import { now } from "../time.js";

/** One request and its response: ended from outside, or when nothing is heard of it any more. */
export class Connection {
  private readonly controller = new AbortController();
  private readonly hangUp = () => this.controller.abort();
  /** Since when news is waited for (ms). */
  private waitingSince: number | null = null;
  /** At most one, set anew when it has run out: on a deployment a timer that is cleared still counts. */
  private timer: ReturnType<typeof setTimeout> | null = null;
  /** Whether it was given up because nothing came. */
  silent = false;

  /** @param patience After so long (ms) without news it is given up: a dead connection may never say so. */
  constructor(
    private readonly outside: AbortSignal,
    private readonly patience: number,
  ) {
    outside.addEventListener("abort", this.hangUp);
    if (outside.aborted) this.hangUp();
  }

  /** For `fetch`. */
  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Waits for the next news, but not for ever. */
  async news<T>(news: Promise<T>): Promise<T> {
    this.waitingSince = now();
    this.watch(this.patience);
    try {
      return await news;
    } finally {
      this.waitingSince = null;
    }
  }

  private watch(time: number): void {
    this.timer ??= setTimeout(() => {
      this.timer = null;
      // The next news that is waited for begins to watch again.
      if (this.waitingSince === null) return;
      const left = this.waitingSince + this.patience - now();
      if (left > 0) return this.watch(left);
      this.silent = true;
      this.hangUp();
    }, time);
  }

  end(): void {
    if (this.timer !== null) clearTimeout(this.timer);
    this.outside.removeEventListener("abort", this.hangUp);
    this.hangUp();
  }
}
