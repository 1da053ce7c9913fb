import type { StreamError, StreamStatus } from "../shared.js";
import {
  LineParser,
  tails,
  type LineOptions,
  type LineSchema,
  type ParseLine,
  type SchemaResult,
} from "./lines.js";
import {
  streamText,
  type ReadStreamOptions,
  type StreamText,
} from "./read-stream.js";
import { leavable } from "./request.js";

export { isFinal, isStreamError } from "../shared.js";
export { InvalidLineError } from "./lines.js";
export { ReadStreamError } from "./request.js";
export {
  watchStream,
  type Client,
  type StreamWatch,
  type WatchStreamOptions,
} from "./watch-stream.js";
export type { Fetch, HeaderValues, ValueOrFunction } from "./http-side.js";
export type { QueryResult } from "./database-side.js";
export type { Snapshot, StreamProblem } from "./stream-reader.js";
export type {
  LineOptions,
  LineSchema,
  ParseLine,
  SchemaResult,
  ReadStreamOptions,
  StreamError,
  StreamStatus,
  StreamText,
};

/**
 * Reads a stream over HTTP, in a browser, in Node or at the edge: the saved text from
 * an offset on, then new text as it arrives, until the stream ends. It reconnects by
 * itself and yields each character once.
 *
 * ```ts
 * const text = readStream(`${siteUrl}/chat`, { streamId });
 * for await (const piece of text) console.log(piece);
 * console.log(text.status);
 * ```
 *
 * With `drive`, it also starts the stream, like `useStream` with `driven`.
 *
 * @param url The URL of `registerRoutes`, or of an HTTP action that returns
 *   `streaming.resume(…)`. `streamId` and `offset` are added to its query.
 * @throws While iterating: the signal's reason, once it has fired; a `ReadStreamError`
 *   if the server refuses the stream (such as 404 or 401) or the response does not
 *   come from `resume()`; anything that the function `headers` throws. Network
 *   failures and server errors (5xx) are retried indefinitely.
 */
export function readStream(
  url: URL | string,
  options: ReadStreamOptions,
): StreamText {
  const text = streamText(url, options);
  if (options.tail !== undefined) tails.add(text);
  return text;
}

/**
 * Parses the lines of a text, each as soon as it is complete.
 *
 * ```ts
 * for await (const event of readLines<ChatEvent>(readStream(url, { streamId }))) {
 *   show(event);
 * }
 * ```
 *
 * A last line without a line break may be half a line, so it is left out if `texts`
 * has a `status` other than `done` (`readStream`'s result has one). Read to the end:
 * leaving the loop early loses the part of a line that has arrived.
 *
 * @param texts A text in pieces, cut anywhere.
 * @param parse Returns the value of a line, or `undefined` to leave it out; or a
 *   schema (zod, valibot, arktype…) for lines of JSON. Default: `JSON.parse`. Blank
 *   lines are left out.
 * @param options.onInvalid Handles a line that cannot be parsed. Default: skip it, and
 *   report the first one in the console.
 */
export function readLines<T = unknown>(
  texts: AsyncIterable<string>,
  parse: ParseLine<T> | LineSchema<T> = JSON.parse,
  options: LineOptions<T> = {},
): AsyncGenerator<T, void> {
  let left = false;
  async function* read() {
    const lines = new LineParser(parse, options.onInvalid);
    let isFirst = tails.has(texts);
    for await (const piece of texts) {
      const { offset = 0 } = texts as { offset?: number };
      if (isFirst) lines.isCut = offset > piece.length;
      isFirst = false;
      yield* lines.push(piece);
    }
    const { status = "done" } = texts as { status?: StreamStatus };
    if (!left && status === "done") yield* lines.end();
  }
  return leavable(read(), () => {
    left = true;
    // `readStream`'s text can be left while it waits. Its answer is handled above, or
    // no longer matters.
    const { return: leave } = texts as Partial<AsyncGenerator<string>>;
    leave?.call(texts, undefined).catch(() => {});
  });
}
