import {
  readStream,
  ReadStreamError,
  type ReadStreamOptions,
} from "@convex-dev/persistent-text-streaming/browser";

/** Reads a stream with `readStream`, in Node, in a page, or elsewhere. */
export class Reading {
  /** The stream's status once it has ended, or why it could not be read. */
  status = "pending";
  private readonly stopping = new AbortController();

  /** @param text The text it has from an earlier run. */
  constructor(
    url: string,
    streamId: string,
    public text = "",
    fetch?: ReadStreamOptions["fetch"],
  ) {
    const { signal } = this.stopping;
    const from = text.length;
    const stream = readStream(url, { streamId, from, signal, fetch });
    void (async () => {
      try {
        for await (const piece of stream) {
          this.text += piece;
          this.status = "streaming";
        }
        this.status = stream.status;
      } catch (error) {
        this.status =
          error instanceof ReadStreamError
            ? `refused: ${error.status}`
            : String(error);
      }
    })();
  }

  seen() {
    const { text, status } = this;
    return { text, status };
  }

  stop(): void {
    this.stopping.abort();
  }
}
