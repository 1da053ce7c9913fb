/**
 * How much of a response (bytes) reaches the client. Convex's limit is 20 MiB,
 * and it drops what is beyond without a word, in the middle of a character if
 * it comes to that.
 */
const BODY_LIMIT = 20 * 1024 * 1024;

/** The HTTP leg: the text as the body of a response, in UTF-8. */
export class Body {
  readonly stream: ReadableStream<Uint8Array>;
  private controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  private readonly encoder = new TextEncoder();
  private room: number;

  /**
   * @param options.onCancel Called when the reader has gone, where the platform
   *   says so. A deployment does not.
   */
  constructor(options: { limit?: number; onCancel?: () => void } = {}) {
    this.room = options.limit ?? BODY_LIMIT;
    this.stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.controller = controller;
      },
      cancel: () => {
        // The reader has gone. The writer goes on, for the database.
        this.controller = null;
        options.onCancel?.();
      },
    });
  }

  /** Sends text at once. Past the limit nothing is sent: the reader finds the rest in the database. */
  write(text: string): void {
    if (this.controller === null || this.room === 0 || text === "") return;
    const bytes = this.encoder.encode(text);
    const end = cutUtf8(bytes, this.room);
    if (end > 0) this.controller.enqueue(bytes.subarray(0, end));
    this.room = end < bytes.length ? 0 : this.room - end;
  }

  /** Whether nothing more can be sent. */
  get full(): boolean {
    return this.room === 0;
  }

  /** Ends the response, and with it, on a deployment, the action. */
  close(): void {
    this.controller?.close();
    this.controller = null;
  }
}

/** The largest length up to `length` at which UTF-8 can be cut between two characters. */
function cutUtf8(bytes: Uint8Array, length: number): number {
  if (length >= bytes.length) return bytes.length;
  let end = length;
  while (end > 0 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return end;
}
