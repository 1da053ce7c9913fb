import { type StreamStatus, isFinal } from "../shared.js";
import { continuation, wire, formatOffset, isOffset } from "../protocol.js";
import { fired, pause, throwIfAborted } from "../time.js";
import {
  Connection,
  driven,
  leavable,
  ReadStreamError,
  resumed,
  retryDelay,
  textOf,
} from "./request.js";

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
  [Symbol.asyncIterator](): AsyncGenerator<string, void> {
    const { signal } = this.options;
    const left = new AbortController();
    const leave = () => left.abort();
    signal?.addEventListener("abort", leave);
    if (signal?.aborted) leave();
    return leavable(this.read(left.signal, leave), leave);
  }

  private async *read(
    left: AbortSignal,
    leave: () => void,
  ): AsyncGenerator<string, void> {
    const { signal } = this.options;
    let losses = 0;
    try {
      while (!isFinal(this.status) && !left.aborted) {
        const headers = await this.headers(left);
        const before = { offset: this.offset, drive: this.drive };
        // A request to drive that was lost may have arrived all the same: the
        // stream is looked at before it is asked for again.
        const driving = this.drive !== null && losses % 2 === 0;
        const connection = new Connection(
          left,
          driving ? DRIVERS_PATIENCE : PATIENCE,
        );
        try {
          yield* this.receive(connection, headers, driving);
        } catch (error) {
          if (left.aborted) break;
          if (error instanceof ReadStreamError) throw error;
          if (losses + 1 === LOSSES_TO_TELL) {
            console.warn("A stream cannot be read; it is tried again:", error);
          }
        } finally {
          connection.end();
        }
        // Another way is tried now; or it took its time, and there is nothing
        // to wait for.
        if (this.drive !== before.drive || connection.silent) continue;
        losses = this.offset > before.offset ? 0 : losses + 1;
        if (losses > 0 && !isFinal(this.status)) {
          await pause(retryDelay(losses), left);
        }
      }
    } finally {
      signal?.removeEventListener("abort", leave);
    }
    throwIfAborted(signal);
  }

  /** Makes one request, and hands on what is new of the text that it brings. */
  private async *receive(
    connection: Connection,
    headers: Headers,
    driving: boolean,
  ): AsyncGenerator<string, void> {
    const { response, answer } = await connection.news(
      driving
        ? this.start(connection, headers)
        : this.resume(connection, headers),
    );
    // Nobody writes it yet, so the request to do so is made again.
    if (!driving && this.drive !== null && answer.status === "pending") return;
    this.drive = null;
    let at = answer.start;
    for await (const piece of piecesOf(response, connection)) {
      const text = continuation(this.offset, at, piece);
      if (text === null) {
        throw new ReadStreamError(
          `The text was asked for from offset ${this.offset} on, and came from ${at} on.`,
          response.status,
        );
      }
      at += piece.length;
      if (text === "") continue;
      this.offset = at;
      this.status = "streaming";
      yield text;
    }
    if (answer.isEnd && this.offset >= answer.next) this.status = answer.status;
  }

  private async resume({ signal }: Connection, headers: Headers) {
    this.url.searchParams.set(wire.offset, formatOffset(this.offset));
    const response = await fetch(this.url, { headers, signal });
    return { response, answer: await resumed(response) };
  }

  private async start({ signal }: Connection, headers: Headers) {
    headers.set("Content-Type", "application/json");
    const { streamId } = this.options;
    const response = await fetch(this.drive ?? this.url, {
      method: "POST",
      body: JSON.stringify({ streamId }),
      headers,
      signal,
    });
    return { response, answer: await driven(response) };
  }

  private async headers(left: AbortSignal): Promise<Headers> {
    const { headers } = this.options;
    const given =
      typeof headers === "function"
        ? await unless(left, Promise.resolve(headers()))
        : headers;
    throwIfAborted(this.options.signal);
    try {
      return new Headers(given);
    } catch {
      // Not the error itself, which may quote a token.
      throw new TypeError(
        "One of the headers for readStream() is not a valid header. Their values are of one byte a character, without line breaks.",
      );
    }
  }
}

/** The text of a response, as it comes. */
async function* piecesOf(
  response: Response,
  connection: Connection,
): AsyncGenerator<string, void> {
  if (response.status !== 200) return;
  if (!response.body) {
    // A platform that cannot stream responses.
    yield await connection.news(response.text());
    return;
  }
  const texts = textOf(response.body);
  for (;;) {
    const { done, value } = await connection.news(texts.next());
    if (done) return;
    yield value;
  }
}

/** What a promise gives, unless the signal fires first. */
function unless<T>(
  signal: AbortSignal,
  promise: Promise<T>,
): Promise<T | undefined> {
  return Promise.race([promise, fired(signal)]);
}

/** A URL; in a page, it may be relative to that. */
function absolute(url: URL | string): URL {
  const page = (globalThis as { location?: { href: string } }).location;
  return new URL(url, page?.href);
}
