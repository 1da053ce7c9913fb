import { v, type Infer } from "convex/values";

export const streamStatus = v.union(
  v.literal("pending"),
  v.literal("streaming"),
  v.literal("done"),
  v.literal("error"),
  v.literal("timeout"),
  v.literal("aborted"),
);
/**
 * What a stream is up to.
 *
 * - `pending`: created; no text is saved yet.
 * - `streaming`: some text is saved and more may come.
 * - `done`: the writer returned.
 * - `error`: the writer threw.
 * - `timeout`: nothing was heard of the writer for 20 minutes.
 * - `aborted`: somebody called `abortStream`.
 */
export type StreamStatus = Infer<typeof streamStatus>;

// The types of what users get are written out for the sake of their docstrings.
// The component's functions return them under these validators and the client
// takes them from there, so the compiler sees that they say the same.
export const streamBody = v.object({ text: v.string(), status: streamStatus });
/** All the saved text of a stream, and its status. */
export type StreamBody = {
  /** The text. Its offsets count UTF-16 code units, as `string.length` does. */
  text: string;
  /** What the stream is up to. */
  status: StreamStatus;
};

export const streamPage = streamBody.extend({
  from: v.number(),
  next: v.number(),
});
/**
 * The saved text of a stream from an offset on. Offsets count UTF-16 code
 * units, as `string.length` does. Its status is final only if its text reaches
 * the end of the stream.
 */
export type StreamPage = StreamBody & {
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
};

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

/** Whether a stream of this status has ended. */
export function isFinal(status: StreamStatus): status is FinalStatus {
  return status !== "pending" && status !== "streaming";
}
