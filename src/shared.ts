/* eslint-disable @typescript-eslint/no-explicit-any -- an app's own values, which it types itself */
import type { ConvexError, Infer } from "convex/values";
import type { vStreamStatus } from "./validators.js";

export * from "./validators.js";

/** The id of a stream: a string with a brand. */
export type StreamId = string & {
  /** Exists in types only, so that the compiler tells stream ids from other strings. */
  __isStreamId: true;
};

/**
 * The status of a stream.
 *
 * - `pending`: created; no text is saved yet.
 * - `streaming`: some text is saved and more may come.
 * - `done`: the writer returned.
 * - `error`: the writer threw.
 * - `timeout`: nothing was heard of the writer for 20 minutes.
 * - `aborted`: somebody called `abortStream`.
 */
export type StreamStatus = Infer<typeof vStreamStatus>;

// The types that users see are written out for the sake of their docstrings.
// The component's functions return them under these validators and the client
// takes them from there, so the compiler checks that both say the same.

/**
 * All the saved text of a stream, and its status: one of the five that version
 * 0.3 knew. A stream that was aborted reads as `done` here. `getStreamStatus`
 * and pages tell the two apart.
 */
export type StreamBody = {
  /** The text. Its offsets count UTF-16 code units, as `string.length` does. */
  text: string;
  /** The status of the stream; `done` for one that was aborted. */
  status: Exclude<StreamStatus, "aborted">;
};

/** Why a stream ended before its text was complete. */
export type StreamError = {
  /**
   * - `WriterFailed`: the writer threw.
   * - `CannotSave`: its text could not be saved.
   * - `Stopped`: the writer was stopped.
   * - `TimedOut`: nothing was heard of the writer any more.
   */
  kind: "WriterFailed" | "CannotSave" | "Stopped" | "TimedOut";
  /** A sentence for the people who read the stream. */
  message: string;
  /** The `data` of the `ConvexError` that the writer threw. */
  data?: any;
};

/**
 * What an error of this package is about:
 *
 * - `StreamNotFound`: there is no such stream, or no longer.
 * - `StreamEnded`: the stream has ended, and nothing can be added to it.
 * - `StreamClaimed`: a call of `stream()` or `generate()` holds the stream.
 * - `InvalidOffset`: not a whole number from 0 on.
 * - `TextTooLong`: more text than Convex reads or writes at once.
 */
export type StreamErrorKind =
  | "StreamNotFound"
  | "StreamEnded"
  | "StreamClaimed"
  | "InvalidOffset"
  | "TextTooLong";

/** The `data` of an error that `isStreamError` recognizes. */
export type StreamErrorData<Kind extends StreamErrorKind = StreamErrorKind> = {
  /** What the error is about. */
  kind: Kind;
  /** What was expected, what came instead, and what to do. */
  message: string;
  /** The id that was given. */
  streamId: string;
};

const errorKinds: readonly StreamErrorKind[] = [
  "StreamNotFound",
  "StreamEnded",
  "StreamClaimed",
  "InvalidOffset",
  "TextTooLong",
];

/**
 * Whether something that was thrown is an error of this package, of one kind or
 * of any. Works in functions and in the browser.
 *
 * ```ts
 * try {
 *   await streaming.deleteStream(ctx, streamId);
 * } catch (error) {
 *   if (!isStreamError(error, "StreamNotFound")) throw error;
 * }
 * ```
 *
 * @param kind The kind to look for. Default: any.
 */
export function isStreamError<Kind extends StreamErrorKind = StreamErrorKind>(
  error: unknown,
  kind?: Kind,
): error is ConvexError<StreamErrorData<Kind>> {
  const { data } = Object(error) as { data?: unknown };
  const {
    kind: its,
    message,
    streamId,
  } = Object(data) as Partial<StreamErrorData>;
  return (
    its !== undefined &&
    errorKinds.includes(its) &&
    typeof message === "string" &&
    typeof streamId === "string" &&
    (kind === undefined || its === kind)
  );
}

/**
 * The saved text of a stream from an offset on. Offsets count UTF-16 code
 * units, as `string.length` does. Its status is final only if its text reaches
 * the end of the stream.
 */
export type StreamPage = {
  /** The text from offset `from` on. */
  text: string;
  /** The status of the stream. */
  status: StreamStatus;
  /**
   * The offset at which `text` starts: the one that was asked for, or one less
   * where that one would have cut a character in two.
   */
  from: number;
  /**
   * The offset to ask from in future. While text is being written it lags
   * behind what has been read, so that all readers of a stream ask the same
   * question and Convex answers it once for all of them.
   */
  next: number;
  /**
   * Whether a writer holds the stream: a call of `stream()` or `generate()` has
   * claimed it. After a stop, that lasts until its last words are saved.
   */
  claimed: boolean;
  /** Why the stream ended before its text was complete, if it did and the reason is known. */
  error?: StreamError | undefined;
};

/** The text of a stream and its status, wherever the two come from. */
export type StreamState = Pick<StreamPage, "text" | "status">;

/** A status as version 0.3 knows it: nothing is missing from a stream that was aborted, and nothing more will come. */
export function statusOf03(status: StreamStatus): StreamBody["status"] {
  return status === "aborted" ? "done" : status;
}

/**
 * The largest length up to `length` at which `text` can be cut without
 * splitting a surrogate pair: Convex refuses half a character.
 */
export function cutLength(text: string, length: number): number {
  if (length <= 0) return 0;
  if (length >= text.length) return text.length;
  const splitsPair =
    isHighSurrogate(text.charCodeAt(length - 1)) &&
    isLowSurrogate(text.charCodeAt(length));
  return splitsPair ? length - 1 : length;
}

export function isHighSurrogate(unit: number): boolean {
  return unit >= 0xd800 && unit <= 0xdbff;
}

export function isLowSurrogate(unit: number): boolean {
  return unit >= 0xdc00 && unit <= 0xdfff;
}

/** A status that never changes again. */
export type FinalStatus = Exclude<StreamStatus, "pending" | "streaming">;

/** Whether a stream with this status has ended: it is `done`, `error`, `timeout` or `aborted`, and stays so. */
export function isFinal(status: StreamStatus): status is FinalStatus {
  return status !== "pending" && status !== "streaming";
}

/** How a stream ended: its final status, or `"deleted"` if it was deleted before it had ended. */
export type StreamEnd = FinalStatus | "deleted";

/** Everything about a stream but its text. Times are in ms since 1970. */
export type StreamInfo = {
  /** The status of the stream. */
  status: StreamStatus;
  /** Why it ended, for each final status but `done`. */
  error?: StreamError | undefined;
  /** What its writer returned. */
  result?: any;
  /** When it was created. */
  createdAt: number;
  /** When its first text was saved. Streams that version 0.3 wrote have none. */
  firstTextAt?: number | undefined;
  /** When its status became final. Streams that version 0.3 ended have none. */
  endedAt?: number | undefined;
  /** The length of its saved text (UTF-16 code units). */
  length: number;
};

/** What an `onComplete` receives. */
export type OnCompleteArgs<Context = any> = {
  /** The stream that has ended. */
  streamId: StreamId;
  /** How it ended. */
  status: StreamEnd;
  /** Why it ended, for each status but `done` and `deleted`. */
  error?: StreamError | undefined;
  /** What the writer returned. */
  result?: any;
  /** The length of the saved text (UTF-16 code units). */
  length: number;
  /** What `createStream` was given. */
  context: Context;
};

/** How long (ms) a claimed writer may show no sign of life, by default. */
export const DEFAULT_TIMEOUT_MS = 120_000;
