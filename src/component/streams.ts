/** The document of a stream: how to find it, and what readers learn about it. */
import {
  DEFAULT_TIMEOUT_MS,
  isFinal,
  streamError,
  type FinalStatus,
  type StreamError,
  type StreamInfo,
} from "../shared.js";
import type { Doc, Id } from "./_generated/dataModel.js";
import type { QueryCtx } from "./_generated/server.js";
import { endOfText, newestChunk } from "./text.js";

/** Null if there is no such stream, or the id is malformed. */
export async function getStream(
  ctx: QueryCtx,
  streamId: string,
): Promise<Doc<"streams"> | null> {
  const id = ctx.db.normalizeId("streams", streamId);
  return id === null ? null : ctx.db.get(id);
}

export async function getStreamOrThrow(
  ctx: QueryCtx,
  streamId: Id<"streams">,
): Promise<Doc<"streams">> {
  const stream = await ctx.db.get(streamId);
  if (stream === null) {
    throw streamError(
      "StreamNotFound",
      streamId,
      `Stream not found: there is no stream ${streamId}. It may have been deleted.`,
    );
  }
  return stream;
}

/**
 * Whether a live stream was ever claimed. A writer that left it to the next one
 * leaves its error.
 */
export function isClaimed(stream: Partial<Doc<"streams">>): boolean {
  return (
    stream.writer !== undefined ||
    stream.error !== undefined ||
    stream.claimedAt !== undefined
  );
}

/** Whether the stream was ended from outside and its writer may still save last words. */
export function isDraining(stream: Doc<"streams">): boolean {
  return isFinal(stream.status) && stream.writer !== undefined;
}

/** How long (ms) an unclaimed stream may show no sign of life. */
export const UNCLAIMED_TIMEOUT_MS = 20 * 60 * 1000;

/** How long (ms) a live stream may show no sign of life. */
export function timeoutOf(stream: Partial<Doc<"streams">>): number {
  if (stream.timeoutMs !== undefined) return stream.timeoutMs;
  return isClaimed(stream) ? DEFAULT_TIMEOUT_MS : UNCLAIMED_TIMEOUT_MS;
}

/** Why a stream ended, if only its status is known. */
const defaultErrors: Record<FinalStatus, StreamError | undefined> = {
  done: undefined,
  error: { kind: "WriterFailed", message: "The writer failed." },
  timeout: { kind: "TimedOut", message: "The writer stopped responding." },
  aborted: { kind: "Stopped", message: "The stream was stopped." },
};

/** Why a stream has ended; undefined if it is `done` or live. */
export function errorOf(
  stream: Pick<Doc<"streams">, "status" | "error">,
): StreamError | undefined {
  if (!isFinal(stream.status) || stream.status === "done") return undefined;
  return stream.error ?? defaultErrors[stream.status];
}

/** The length of a stream's text (UTF-16 code units). */
export async function lengthOf(
  ctx: QueryCtx,
  stream: Doc<"streams">,
): Promise<number> {
  if (stream.length !== undefined) return stream.length;
  return endOfText(ctx.db, await newestChunk(ctx.db, stream._id));
}

export async function infoOf(
  ctx: QueryCtx,
  stream: Doc<"streams">,
): Promise<StreamInfo> {
  const { status, _creationTime, firstTextAt, endedAt } = stream;
  return {
    status,
    error: errorOf(stream),
    result: stream.result as unknown,
    createdAt: _creationTime,
    firstTextAt,
    endedAt,
    length: await lengthOf(ctx, stream),
  };
}
