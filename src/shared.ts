/* eslint-disable @typescript-eslint/no-explicit-any -- values that the app types itself */
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
 * - `timeout`: the writer showed no sign of life for too long.
 * - `aborted`: someone called `abortStream`.
 */
export type StreamStatus = Infer<typeof vStreamStatus>;

// The types that users see are written out, so that they can have docstrings. The
// component's functions return them under these validators, so the compiler checks
// that both agree.

/**
 * All the saved text of a stream, and its status: one of version 0.3's five. An
 * aborted stream reads as `done` here. `getStreamStatus` and pages tell the two
 * apart.
 */
export type StreamBody = {
  /** The text. Offsets into it count UTF-16 code units, like `string.length`. */
  text: string;
  /** The stream's status; `done` if it was aborted. */
  status: Exclude<StreamStatus, "aborted">;
};

/** Why a stream ended early. */
export type StreamError = {
  /**
   * - `WriterFailed`: the writer threw.
   * - `CannotSave`: its text could not be saved.
   * - `Stopped`: the writer was stopped.
   * - `TimedOut`: the writer showed no sign of life for too long.
   */
  kind: "WriterFailed" | "CannotSave" | "Stopped" | "TimedOut";
  /** A sentence for readers of the stream. */
  message: string;
  /** The `data` of the `ConvexError` that the writer threw. */
  data?: any;
};

/**
 * The kinds of errors that an app may want to tell apart:
 *
 * - `StreamNotFound`: there is no such stream; it may have been deleted.
 * - `StreamEnded`: the stream has ended, and nothing can be added to it.
 * - `StreamClaimed`: a call of `stream()` or `generate()` is writing the stream.
 * - `InvalidOffset`: the offset is not a whole number of 0 or more.
 * - `TextTooLong`: the text exceeds what Convex reads or writes at once.
 */
export type StreamErrorKind =
  | "StreamNotFound"
  | "StreamEnded"
  | "StreamClaimed"
  | "InvalidOffset"
  | "TextTooLong";

/** The `data` of an error that `isStreamError` recognizes. */
export type StreamErrorData<Kind extends StreamErrorKind = StreamErrorKind> = {
  /** The kind of error. */
  kind: Kind;
  /** What was expected, what was received, and what to do. */
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
 * Whether a thrown value is an error of this package, optionally of one kind. Works
 * in functions and in the browser.
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
 * The saved text of a stream, starting at an offset. Offsets count UTF-16 code units,
 * like `string.length`. The status is final only if the text reaches the end of the
 * stream.
 */
export type StreamPage = {
  /** The text from offset `from` on. */
  text: string;
  /** The status of the stream. */
  status: StreamStatus;
  /**
   * The offset where `text` starts: the requested one, or one less if that would
   * split a character.
   */
  from: number;
  /**
   * The offset to ask for next. While text is being written, it lags behind what has
   * been read, so that all readers ask the same question and Convex answers it once
   * for all of them.
   */
  next: number;
  /**
   * Whether the stream has a writer: a call of `stream()` or `generate()` has claimed
   * it. After a stop, this stays true until the writer's last words are saved.
   */
  claimed: boolean;
  /** Why the stream ended early, if it did and the reason is known. */
  error?: StreamError | undefined;
};

/** The text and status of a stream, from any source. */
export type StreamState = Pick<StreamPage, "text" | "status">;

/** A status in version 0.3's terms. An aborted stream reads as `done`: nothing is missing, and nothing more will come. */
export function statusOf03(status: StreamStatus): StreamBody["status"] {
  return status === "aborted" ? "done" : status;
}

/**
 * The largest length up to `length` at which `text` can be cut without splitting a
 * surrogate pair. Convex refuses half a character.
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

/** A status that never changes. */
export type FinalStatus = Exclude<StreamStatus, "pending" | "streaming">;

/** Whether a stream with this status has ended: `done`, `error`, `timeout` and `aborted` are final. */
export function isFinal(status: StreamStatus): status is FinalStatus {
  return status !== "pending" && status !== "streaming";
}

/** How a stream ended: its final status, or `"deleted"` if it was deleted while live. */
export type StreamEnd = FinalStatus | "deleted";

/** Everything about a stream except its text. Times are in ms since 1970. */
export type StreamInfo = {
  /** The status of the stream. */
  status: StreamStatus;
  /** Why it ended, for every final status except `done`. */
  error?: StreamError | undefined;
  /** Its writer's return value. */
  result?: any;
  /** When it was created. */
  createdAt: number;
  /** When its first text was saved. Missing for streams written by version 0.3. */
  firstTextAt?: number | undefined;
  /** When its status became final. Missing for streams ended by version 0.3. */
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
  /** Why it ended, for every status except `done` and `deleted`. */
  error?: StreamError | undefined;
  /** The writer's return value. */
  result?: any;
  /** The length of the saved text (UTF-16 code units). */
  length: number;
  /** The `context` that was passed to `createStream`. */
  context: Context;
};

/** How long (ms) a writer may show no sign of life, by default. */
export const DEFAULT_TIMEOUT_MS = 120_000;
