/**
 * What happens to a text after its stream: it is packed when the stream ends, and
 * deleted when the stream is deleted.
 */
import { internal } from "./_generated/api.js";
import type { Doc, Id } from "./_generated/dataModel.js";
import type { MutationCtx } from "./_generated/server.js";
import {
  CHUNK_LIMIT,
  chunksOf,
  documentSize,
  pieces,
  takeChunks,
  Tally,
  type ReadLimit,
} from "./text.js";

/** How much one `packText` handles: 256 documents, and 1.5 MiB of text plus the last document. */
const PACK_BATCH = 256;
const PACK_LENGTH = 512 * 1024;

/** Packs the text of an ended stream: at once if it fits into one document, otherwise later. */
export async function pack(
  ctx: MutationCtx,
  streamId: Id<"streams">,
  length: number,
) {
  if (length <= CHUNK_LIMIT) await packText(ctx.db, streamId, 0);
  else await packLater(ctx, streamId);
}

export async function packLater(
  ctx: MutationCtx,
  streamId: Id<"streams">,
  from = 0,
) {
  await ctx.scheduler.runAfter(0, internal.lib.packChunks, { streamId, from });
}

/**
 * Rewrites the chunks of an ended stream into as few as possible, starting with the
 * one at offset `from`. Offsets stay the same.
 *
 * @returns The offset to continue from, or null when everything is packed.
 */
export async function packText(
  db: MutationCtx["db"],
  streamId: Id<"streams">,
  from: number,
): Promise<number | null> {
  // Rows of version 0.3 sort before all others. Packing some of them would change the
  // order, so they stay as they are.
  const oldest = await chunksOf(db, streamId).first();
  if (oldest?.start === undefined) return null;

  const chunks: Doc<"chunks">[] = [];
  let length = 0;
  let more = false;
  for await (const chunk of db
    .query("chunks")
    .withIndex("byStream", (q) =>
      q.eq("streamId", streamId).gte("start", from),
    )) {
    if (chunks.length === PACK_BATCH || length >= PACK_LENGTH) {
      more = true;
      break;
    }
    chunks.push(chunk);
    length += chunk.text.length;
  }

  const packed = pieces(chunks.map((chunk) => chunk.text).join(""));
  let start = from;
  for (let i = 0; i < Math.max(chunks.length, packed.length); i++) {
    const chunk = chunks[i];
    const text = packed[i];
    if (text === undefined) {
      if (chunk !== undefined) await db.delete(chunk._id);
      continue;
    }
    if (chunk === undefined) {
      await db.insert("chunks", { streamId, start, text });
    } else if (chunk.start !== start || chunk.text !== text) {
      await db.patch(chunk._id, { start, text });
    }
    start += text.length;
  }
  // The last one may have room for more, so the next run starts there.
  return more ? start - (packed.at(-1)?.length ?? 0) : null;
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
