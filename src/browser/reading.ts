import type { StreamStatus } from "../shared.js";
import { continuation } from "../offsets.js";
import { isFinal } from "../status.js";
import { pause, throwIfAborted } from "../time.js";
import { wire } from "../wire.js";
import { formatOffset, isOffset } from "../offsets.js";
import { answerOf, ReadStreamError } from "./answer.js";
import { Connection } from "./connection.js";
import { retryDelay } from "./retry.js";
import { textOf } from "./text.js";

/** After so many losses in a row, that is said: the URL may be wrong, or CORS. */
const LOSSES_TO_TELL = 3;

/** Options of `readStream`. */
export interface ReadStreamOptions {
  /** The stream. It goes into the URL, as `streamId`. */
  streamId: string;
  /** The offset to begin at (UTF-16 code units). Default: 0. */
  from?: number;
  /** Ends the reading: whoever waits for text gets its reason thrown. */
  signal?: AbortSignal;
  /** Added to each request. A function is called for each: a token may have expired since the last. */
  headers?: HeadersInit | (() => HeadersInit | Promise<HeadersInit>);
}

/**
 * The text of a stream, read over HTTP: each character once, whatever becomes
 * of the connections that bring it. Iterating again goes on where it was left.
 */
export class StreamText implements AsyncIterable<string> {
  /** The offset behind what has been read (UTF-16 code units): where to begin another time. */
  offset: number;
  /** `pending` before there is text, `streaming` while there is more to read, then how the stream ended. */
  status: StreamStatus = "pending";
  private readonly url: URL;

  /** What `readStream` does. */
  constructor(
    url: URL | string,
    private readonly options: ReadStreamOptions,
  ) {
    const { streamId, from = 0 } = options;
    if (typeof streamId !== "string" || streamId === "") {
      throw new TypeError(
        `readStream needs the id of a stream; streamId is ${JSON.stringify(streamId)}.`,
      );
    }
    if (!isOffset(from)) {
      throw new TypeError(
        `from must be an offset into the text, a whole number from 0 on (UTF-16 code units); it is ${from}.`,
      );
    }
    const page = (globalThis as { location?: { href: string } }).location;
    this.url = new URL(url, page?.href);
    this.url.searchParams.set(wire.streamId, streamId);
    this.offset = from;
  }

  /** Reads on, piece by piece, to the end of the stream. */
  async *[Symbol.asyncIterator](): AsyncGenerator<string, void> {
    const { signal } = this.options;
    let losses = 0;
    while (!isFinal(this.status)) {
      const headers = await this.headers();
      throwIfAborted(signal);
      const connection = new Connection(signal);
      const before = this.offset;
      try {
        yield* this.receive(connection, headers);
      } catch (error) {
        throwIfAborted(signal);
        if (error instanceof ReadStreamError) throw error;
        if (losses + 1 === LOSSES_TO_TELL) {
          console.warn("A stream cannot be read; it is tried again:", error);
        }
      } finally {
        connection.end();
      }
      // It took its time; there is nothing to wait for.
      if (connection.silent) continue;
      losses = this.offset > before ? 0 : losses + 1;
      if (losses > 0 && !isFinal(this.status)) {
        await pause(retryDelay(losses), signal);
      }
    }
  }

  /** Makes one request, and hands on what is new of the text that it brings. */
  private async *receive(
    connection: Connection,
    headers: HeadersInit,
  ): AsyncGenerator<string, void> {
    this.url.searchParams.set(wire.offset, formatOffset(this.offset));
    const { signal } = connection;
    const response = await connection.news(
      fetch(this.url, { headers, signal }),
    );
    const { start, end } = await answerOf(response);
    let at = start;
    if (response.body) {
      const texts = textOf(response.body);
      for (;;) {
        const { done, value } = await connection.news(texts.next());
        if (done) break;
        const text = continuation(this.offset, at, value);
        if (text === null) {
          throw new ReadStreamError(
            `${response.url} was asked for the text from offset ${this.offset} on and gave it from ${at} on.`,
            response.status,
          );
        }
        at += value.length;
        if (text === "") continue;
        this.offset = at;
        this.status = "streaming";
        yield text;
      }
    }
    if (end !== null && this.offset >= end.offset) this.status = end.status;
  }

  private async headers(): Promise<HeadersInit> {
    const { headers = {} } = this.options;
    return typeof headers === "function" ? headers() : headers;
  }
}
