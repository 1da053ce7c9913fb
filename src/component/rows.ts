/**
 * Rows of version 0.3: chunks that do not know where they start, and come
 * before all that do. Reading some of them means counting from the first one,
 * and of a very long text that is more than a function may read. Numbering
 * them makes them chunks like all others.
 */
import type { Id } from "./_generated/dataModel.js";
import type { MutationCtx } from "./_generated/server.js";
import { v, type Infer } from "convex/values";
import { takeChunks, type ReadLimit } from "./text.js";

/** How far the counting of a stream's rows has come. */
export const rowCount = v.object({
  /** The length of the rows that have been counted. */
  length: v.number(),
  /** The creation time of the last of them, … */
  after: v.number(),
  /** … and those of them that were created at that very time. */
  ids: v.array(v.id("chunks")),
  /** Whether all of them have been counted. */
  complete: v.boolean(),
});
type RowCount = Infer<typeof rowCount>;

/**
 * Takes one step: counts some more of the rows, or numbers some from the last
 * one backwards. At every step the rows without a number are still the first,
 * so the text stays as it is, for readers and for those who add to it.
 *
 * @param count What the step before this one gave.
 * @returns What the next step needs, or null when all are numbered.
 */
export async function numberSomeRows(
  db: MutationCtx["db"],
  streamId: Id<"streams">,
  count: RowCount | null,
  limit: ReadLimit,
): Promise<RowCount | null> {
  const numbered = await db
    .query("chunks")
    .withIndex("byStream", (q) => q.eq("streamId", streamId).gte("start", 0))
    .first();
  // Not the count, if there is anything to go by: somebody may have numbered
  // rows since it was begun.
  const end = numbered?.start ?? (count?.complete ? count.length : null);
  if (end === null) return countSome(db, streamId, count, limit);

  const { chunks, more } = await takeChunks(
    db
      .query("chunks")
      .withIndex("byStream", (q) =>
        q.eq("streamId", streamId).eq("start", undefined),
      )
      .order("desc"),
    limit,
  );
  let start = end;
  for (const { _id, text } of chunks) {
    start -= text.length;
    await db.patch(_id, { start });
  }
  return more ? (count ?? uncounted) : null;
}

const uncounted: RowCount = { length: 0, after: 0, ids: [], complete: false };

async function countSome(
  db: MutationCtx["db"],
  streamId: Id<"streams">,
  count: RowCount | null,
  limit: ReadLimit,
): Promise<RowCount> {
  const { chunks, more } = await takeChunks(
    db.query("chunks").withIndex("byStream", (q) =>
      q
        .eq("streamId", streamId)
        .eq("start", undefined)
        .gte("_creationTime", count?.after ?? 0),
    ),
    limit,
  );
  let { length, after, ids } = count ?? uncounted;
  for (const chunk of chunks) {
    if (ids.includes(chunk._id)) continue;
    if (chunk._creationTime > after) ids = [];
    length += chunk.text.length;
    after = chunk._creationTime;
    ids = [...ids, chunk._id];
  }
  return { length, after, ids, complete: !more };
}
