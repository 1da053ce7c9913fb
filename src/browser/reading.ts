import type { StreamStatus } from "../shared.js";
import { continuation } from "../offsets.js";
import { isFinal } from "../status.js";
import { pause, throwIfAborted } from "../time.js";
import { wire } from "../wire.js";
import { formatOffset, isOffset } from "../offsets.js";
import { driven, ReadStreamError, resumed, type Answer } from "./answer.js";
import { Connection } from "./connection.js";
import { retryDelay } from "./retry.js";
import { textOf } from "./text.js";

/** After so long (ms) without news a connection is given up. Asking again costs one look at the database; but nothing is as fast as the connection that drives. */
const PATIENCE = 15_000;
const DRIVERS_PATIENCE = 60_000;
/** After so many losses in a row, that is said: the URL may be wrong, or CORS. */
const LOSSES_TO_TELL = 3;

/** Options of `readStream`. */
export interface ReadStreamOptions {
  /** The stream. It goes into the URL, as `streamId`. */
  streamId: string;
  /**
   * Drives the stream: the URL of the HTTP action that returns
   * `streaming.stream(…)`. It is asked first, with POST and `{"streamId": …}` as
   * JSON, and the text is read as it is written. What is left when that ends,
   * for whatever reason, is read at the other URL.
   */
  drive?: URL | string;
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
  /** Where the stream is to be driven; null once that was answered. */
  private drive: URL | null;

  /** What `readStream` does. */
  constructor(
    url: URL | string,
    private readonly options: ReadStreamOptions,
  ) {
    const { streamId, drive, from = 0 } = options;
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
    this.url = absolute(url);
    this.drive = drive === undefined ? null : absolute(drive);
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
      const drive = this.drive;
      const connection = new Connection(
        signal,
        drive === null ? PATIENCE : DRIVERS_PATIENCE,
      );
      const before = this.offset;
      try {
        yield* drive === null
          ? this.receive(this.resume(connection, headers), connection)
          : this.receive(this.start(drive, connection, headers), connection);
      } catch (error) {
        throwIfAborted(signal);
        if (error instanceof ReadStreamError) throw error;
        if (losses + 1 === LOSSES_TO_TELL) {
          console.warn("A stream cannot be read; it is tried again:", error);
        }
      } finally {
        connection.end();
      }
      // Another way is tried now; or it took its time, and there is nothing to
      // wait for.
      if (drive !== this.drive || connection.silent) continue;
      losses = this.offset > before ? 0 : losses + 1;
      if (losses > 0 && !isFinal(this.status)) {
        await pause(retryDelay(losses), signal);
      }
    }
  }

  private async resume({ signal }: Connection, headers: HeadersInit) {
    this.url.searchParams.set(wire.offset, formatOffset(this.offset));
    const response = await fetch(this.url, { headers, signal });
    return { response, answer: await resumed(response) };
  }

  /** It is safe to do this again where there was no answer: a stream is started once. */
  private async start(url: URL, { signal }: Connection, given: HeadersInit) {
    const headers = new Headers(given);
    headers.set("Content-Type", "application/json");
    const { streamId } = this.options;
    const body = JSON.stringify({ streamId });
    const response = await fetch(url, {
      method: "POST",
      body,
      headers,
      signal,
    });
    const answer = await driven(response);
    this.drive = null;
    return { response, answer };
  }

  /** Hands on what is new of the text that a response brings. */
  private async *receive(
    asking: Promise<{ response: Response; answer: Answer }>,
    connection: Connection,
  ): AsyncGenerator<string, void> {
    const { response, answer } = await connection.news(asking);
    const { start, end } = answer;
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

/** A URL; in a page, it may be relative to that. */
function absolute(url: URL | string): URL {
  const page = (globalThis as { location?: { href: string } }).location;
  return new URL(url, page?.href);
}
