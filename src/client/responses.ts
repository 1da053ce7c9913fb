import { wire } from "../protocol.js";
import { shown } from "./values.js";

/**
 * Headers of every response: the text is private, proxies must not buffer or change
 * it, it is neither a page nor a script, and pages may read its offsets.
 */
const common = {
  // Without no-transform, compression middleware collects text before sending it.
  "Cache-Control": "private, no-store, no-transform",
  // Otherwise nginx fills its buffers first.
  "X-Accel-Buffering": "no",
  "X-Content-Type-Options": "nosniff",
  "Access-Control-Expose-Headers": [
    wire.startOffset,
    wire.nextOffset,
    wire.closed,
    wire.status,
    wire.error,
  ].join(", "),
};

/** A response with text: as it is written, complete, or empty if only the headers are requested. */
export function textResponse(
  body: Body | string | null,
  headers: Record<string, string> = {},
): Response {
  return new Response(body instanceof Body ? body.stream : body, {
    headers: {
      "Content-Type": "text/plain; charset=utf-8",
      ...common,
      ...headers,
    },
  });
}

/** A response without a body. On a standard runtime this status must have none. */
export function emptyResponse(
  status: 204 | 205 | 304,
  headers: Record<string, string> = {},
): Response {
  return new Response(null, { status, headers: { ...common, ...headers } });
}

export function errorResponse(
  status: 400 | 403 | 404 | 405 | 500,
  error: string,
  headers: Record<string, string> = {},
): Response {
  return new Response(JSON.stringify({ error }), {
    status,
    headers: { "Content-Type": "application/json", ...common, ...headers },
  });
}

export function notFound(streamId: string): Response {
  return errorResponse(
    404,
    `There is no stream ${shown(streamId)}. It may have been deleted.`,
  );
}

/**
 * How much of a response (bytes) reaches the client. Convex's limit is 20 MiB. It
 * silently drops everything beyond that, even in the middle of a character.
 */
const BODY_LIMIT = 20 * 1024 * 1024;

/** The text as the body of a response, in UTF-8. */
export class Body {
  readonly stream: ReadableStream<Uint8Array>;
  private controller: ReadableStreamDefaultController<Uint8Array> | null = null;
  private readonly encoder = new TextEncoder();
  private room: number;
  /** Text that was written but not read yet. The next piece takes all of it. */
  private readonly waiting = new Bytes();

  /**
   * @param options.onCancel Called when the reader leaves, if the platform reports
   *   it. A deployment does not.
   */
  constructor(options: { limit?: number; onCancel?: () => void } = {}) {
    this.room = options.limit ?? BODY_LIMIT;
    this.stream = new ReadableStream<Uint8Array>({
      start: (controller) => {
        this.controller = controller;
      },
      pull: () => this.sendWaiting(),
      cancel: () => {
        // The reader has left. The writer continues, for the database.
        this.controller = null;
        this.waiting.take();
        options.onCancel?.();
      },
    });
  }

  /** Sends text at once. Beyond the limit nothing is sent, and readers take the rest from the database. */
  write(text: string): void {
    if (this.controller === null) return;
    const bytes = this.encoder.encode(text);
    const end = cutUtf8(bytes, this.room);
    this.room = end < bytes.length ? 0 : this.room - end;
    // Text is collected until the reader has taken the previous piece. A queue of a
    // million pieces would take minutes and a lot of memory.
    this.waiting.push(bytes.subarray(0, end));
    if ((this.controller.desiredSize ?? 0) > 0) this.sendWaiting();
  }

  private sendWaiting(): void {
    const bytes = this.waiting.take();
    if (bytes.length > 0) this.controller?.enqueue(bytes);
  }

  /** Whether nothing more can be sent. */
  get full(): boolean {
    return this.room === 0;
  }

  /** Ends the response. On a deployment, this ends the action. */
  close(): void {
    this.sendWaiting();
    this.controller?.close();
    this.controller = null;
  }
}

/** A growing buffer. */
class Bytes {
  private buffer = new Uint8Array();
  private length = 0;

  push(bytes: Uint8Array): void {
    const length = this.length + bytes.length;
    if (length > this.buffer.length) {
      const larger = new Uint8Array(Math.max(length, 2 * this.buffer.length));
      larger.set(this.buffer.subarray(0, this.length));
      this.buffer = larger;
    }
    this.buffer.set(bytes, this.length);
    this.length = length;
  }

  /** Returns all bytes and empties the buffer. */
  take(): Uint8Array {
    const bytes = this.buffer.subarray(0, this.length);
    this.buffer = new Uint8Array();
    this.length = 0;
    return bytes;
  }
}

/** The largest length up to `length` at which UTF-8 can be cut without splitting a character. */
function cutUtf8(bytes: Uint8Array, length: number): number {
  let end = Math.min(length, bytes.length);
  while (((bytes[end] ?? 0) & 0xc0) === 0x80) end--;
  return end;
}
