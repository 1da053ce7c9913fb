/**
 * Deletes the text of deleted streams. One mutation may delete a thousand streams of
 * any length, so it only records which. Reading their text could exceed what a
 * mutation may read, and one scheduled function per stream could exceed what it may
 * schedule.
 *
 * Within a mutation the clock stands still. So the time of a deletion tells which
 * streams were deleted together, and the first of them schedules the work for all.
 * Mutations at other times use other rows, so none conflict.
 */
import { internal } from "./_generated/api.js";
import type { Id } from "./_generated/dataModel.js";
import type { MutationCtx } from "./_generated/server.js";
import { documentSize, Tally, type ReadLimit } from "./tally.js";
import { chunksOf, takeChunks } from "./text.js";

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
