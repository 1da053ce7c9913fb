import type { StreamError, StreamStatus } from "../shared.js";
import {
  LineParser,
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
  type StreamWatch,
  type WatchStreamOptions,
} from "./watch-stream.js";
export type { Fetch, HeaderValues, ValueOrFunction } from "./post.js";
export type {
  Client,
  QueryResult,
  Snapshot,
  StreamProblem,
} from "./stream-reader.js";
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
 * Reads a stream over HTTP, in a browser, in Node or at the edge: what is saved
 * from an offset on, then what comes, to the end of the stream. It reconnects
 * by itself and yields every character once.
 *
 * ```ts
 * const text = readStream(`${siteUrl}/resume`, { streamId });
 * for await (const piece of text) console.log(piece);
 * console.log(text.status);
 * ```
 *
 * With `drive`, it is who starts the stream, as `useStream` is with `driven`.
 *
 * @param url The URL of an HTTP action that returns `streaming.resume(…)`. It is
 *   asked with GET; `streamId` and `offset` are added to its query.
 * @throws While iterating: the signal's reason, once that has fired; a
 *   `ReadStreamError` if the server refuses the stream (404, 401 and the like)
 *   or its answer is not one of `resume()`; what the function `headers` throws.
 *   A network that fails or a server that is down (5xx) is tried again, for as
 *   long as it takes.
 */
export function readStream(
  url: URL | string,
  options: ReadStreamOptions,
): StreamText {
  return streamText(url, options);
}

/**
 * What the lines of a text say, one after the other, as they become whole.
 *
 * ```ts
 * for await (const event of readLines<ChatEvent>(readStream(url, { streamId }))) {
 *   show(event);
 * }
 * ```
 *
 * A last line without a line break is left out if `texts` has a `status`, as what
 * `readStream` gives has, and that is not `done`: it may be half a line. Read the
 * lines of a stream to their end: what has come of a line is gone when they are left.
 *
 * @param texts A text in pieces, cut anywhere.
 * @param parse Makes a value of a line, `undefined` of one that says nothing; or
 *   a schema (zod, valibot, arktype…) for lines of JSON. Default: `JSON.parse`.
 *   Blank lines are left out.
 * @param options.onInvalid What becomes of a line that cannot be parsed. Default:
 *   it is skipped, and the first one reported in the console.
 */
export function readLines<T = unknown>(
  texts: AsyncIterable<string>,
  parse: ParseLine<T> | LineSchema<T> = JSON.parse,
  options: LineOptions<T> = {},
): AsyncGenerator<T, void> {
  let left = false;
  async function* read() {
    const lines = new LineParser(parse, options.onInvalid);
    for await (const piece of texts) yield* lines.push(piece);
    const { status = "done" } = texts as { status?: StreamStatus };
    if (!left && status === "done") yield* lines.end();
  }
  return leavable(read(), () => {
    left = true;
    // `readStream`'s text is one that can be left while it waits. What it says
    // to that is heard of above, or of no interest any more.
    const { return: leave } = texts as Partial<AsyncGenerator<string>>;
    leave?.call(texts, undefined).catch(() => {});
  });
}
