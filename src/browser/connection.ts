/** One request and its response: ended from outside, or when nothing is heard of it any more. */
export class Connection {
  private readonly controller = new AbortController();
  private readonly hangUp = () => this.controller.abort();
  /** Whether it was given up because nothing came. */
  silent = false;

  /** @param patience After so long (ms) without news it is given up: a dead connection may never say so. */
  constructor(
    private readonly outside: AbortSignal | undefined,
    private readonly patience: number,
  ) {
    outside?.addEventListener("abort", this.hangUp);
    if (outside?.aborted) this.hangUp();
  }

  /** For `fetch`. */
  get signal(): AbortSignal {
    return this.controller.signal;
  }

  /** Waits for the next news, but not for ever. */
  async news<T>(news: Promise<T>): Promise<T> {
    const timer = setTimeout(() => {
      this.silent = true;
      this.hangUp();
    }, this.patience);
    try {
      return await news;
    } finally {
      clearTimeout(timer);
    }
  }

  end(): void {
    this.outside?.removeEventListener("abort", this.hangUp);
    this.hangUp();
  }
}
