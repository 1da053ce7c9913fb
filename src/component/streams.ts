/**
 * The document of a stream: how to find it, what readers learn about it, and how its
 * text is deleted.
 */
import {
  DEFAULT_TIMEOUT_MS,
  isFinal,
  streamError,
  type FinalStatus,
  type StreamError,
  type StreamInfo,
} from "../shared.js";
import { internal } from "./_generated/api.js";
import type { Doc, Id } from "./_generated/dataModel.js";
import type { MutationCtx, QueryCtx } from "./_generated/server.js";
import {
  chunksOf,
  documentSize,
  endOfText,
  newestChunk,
  takeChunks,
  Tally,
  type ReadLimit,
} from "./text.js";

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
  if (!isFinal(stream.status)) return undefined;
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

/*
 * Deletes the text of deleted streams. One mutation may delete a thousand streams of
 * any length, so it only records which. Reading their text could exceed what a
 * mutation may read, and one scheduled function per stream could exceed what it may
 * schedule.
 *
 * Within a mutation the clock stands still. So the time of a deletion tells which
 * streams were deleted together, and the first of them schedules the work for all.
 * Mutations at other times use other rows, so none conflict.
 */

/** The most that one run deletes. */
const BATCH_LIMIT: ReadLimit = { bytes: 4 * 1024 * 1024, documents: 500 };

/** Deletes the text of a stream later. */
export async function deleteTextLater(
  ctx: MutationCtx,
  streamId: Id<"streams">,
): Promise<void> {
  const at = Date.now();
  const isFirst = (await deletionsAt(ctx, at).first()) === null;
  await ctx.db.insert("deletions", { streamId, at });
  if (isFirst) await continueLater(ctx, at);
}

/** Deletes part of the text of the streams deleted at this time, and schedules the rest. */
export async function deleteTexts(ctx: MutationCtx, at: number): Promise<void> {
  const deleted = new Tally();
  for await (const { _id, streamId } of deletionsAt(ctx, at)) {
    const { chunks, more } = await takeChunks(
      chunksOf(ctx.db, streamId),
      deleted.rest(BATCH_LIMIT),
    );
    for (const chunk of chunks) {
      await ctx.db.delete(chunk._id);
      deleted.add(documentSize(chunk.text));
    }
    if (!more) {
      await ctx.db.delete(_id);
      deleted.add(documentSize(""));
    }
    if (deleted.reaches(BATCH_LIMIT)) return continueLater(ctx, at);
  }
}

function deletionsAt(ctx: MutationCtx, at: number) {
  return ctx.db.query("deletions").withIndex("byTime", (q) => q.eq("at", at));
}

async function continueLater(ctx: MutationCtx, at: number): Promise<void> {
  await ctx.scheduler.runAfter(0, internal.lib.deleteTexts, { at });
}
