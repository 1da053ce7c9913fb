import { v } from "convex/values";
import {
  streamBody,
  streamPage,
  streamStatus,
  isFinal,
  type FinalStatus,
} from "../shared.js";
import { internal } from "./_generated/api.js";
import type { Doc, Id } from "./_generated/dataModel.js";
import {
  internalMutation,
  mutation,
  query,
  type MutationCtx,
  type QueryCtx,
} from "./_generated/server.js";
import { numberSomeRows, rowCount } from "./rows.js";
import {
  appendText,
  CHUNK_LIMIT,
  chunksOf,
  documentSize,
  endOfText,
  newestChunk,
  packText,
  readText,
  takeChunks,
  Tally,
  type ReadLimit,
} from "./text.js";

/** A live stream of which nothing was heard for this long (ms) has lost its writer. */
const TIMEOUT = 20 * 60 * 1000;

/** How long (ms) a stream that was ended from outside drains: its writer learns of the end within about a second, and then saves what it has appended. */
const DRAIN_MS = 15_000;

const MiB = 1024 * 1024;

/** How much text a query returns. Convex's limit is 16 MiB, and the reply is more than the text. */
const WHOLE_LIMIT: ReadLimit = { bytes: 15 * MiB, documents: Infinity };
/** A page, too, has an end: no reader makes a query read thousands of documents. */
const PAGE_LIMIT: ReadLimit = { bytes: 4 * MiB, documents: 256 };

/** How much text (bytes of UTF-8) is added at once. Convex's limit for what a mutation writes is 16 MiB, and chunks are more than their text. */
const ADDED_LIMIT = 15 * MiB;

/** What one run of the cron goes through: so many streams, and so much of their newest chunks. Rows of version 0.3 may have 1 MiB each. */
const CRON_LIMIT: ReadLimit = { bytes: 8 * MiB, documents: 50 };

/** What is deleted together with the stream: one chunk of the longest, or a stream that has not been packed. So an app may delete dozens in one mutation. */
const FIRST_DELETION: ReadLimit = { bytes: 3 * CHUNK_LIMIT, documents: 50 };
/** What each mutation that was scheduled goes through. */
const BATCH_LIMIT: ReadLimit = { bytes: 4 * MiB, documents: 500 };

// In the order of a stream's life: created, claimed, appended to, ended, read,
// deleted.

export const createStream = mutation({
  args: {},
  returns: v.id("streams"),
  handler: async (ctx) => ctx.db.insert("streams", { status: "pending" }),
});

/**
 * Makes `writer` the one that may append to a stream. Of any number of writers
 * exactly one is told `claimed: true`, and is told so again if it asks again.
 */
export const claim = mutation({
  args: { streamId: v.string(), writer: v.string() },
  returns: v.object({
    claimed: v.boolean(),
    /** Null if there is no such stream. */
    status: v.union(streamStatus, v.null()),
  }),
  handler: async (ctx, { streamId, writer }) => {
    const stream = await find(ctx, streamId);
    if (stream === null) return { claimed: false, status: null };
    const { status } = stream;
    if (stream.writer === writer) return { claimed: !isFinal(status), status };
    if (status !== "pending" || stream.claimedAt !== undefined) {
      return { claimed: false, status };
    }
    // `setStreamStatus` may have made it pending again. A writer begins at
    // offset 0, and could never save anything.
    if ((await newestChunk(ctx.db, stream._id)) !== null) {
      return { claimed: false, status };
    }
    await ctx.db.patch(stream._id, { claimedAt: Date.now(), writer });
    return { claimed: true, status };
  },
});

/**
 * Saves text that starts at offset `start`, and with `final` ends the stream,
 * in one commit. To be repeated until it is answered: what is there already is
 * not saved again. With nothing to save, it is a sign of life.
 *
 * From its writer, a stream that was ended from outside still takes what that
 * had appended before it was told. Its last save, the one with `final`, gives
 * up the right to append.
 *
 * @returns The stream's status, or null if it has been deleted.
 */
export const append = mutation({
  args: {
    streamId: v.id("streams"),
    writer: v.string(),
    start: v.number(),
    text: v.string(),
    final: v.optional(v.union(v.literal("done"), v.literal("error"))),
  },
  returns: v.union(streamStatus, v.null()),
  handler: async (ctx, { streamId, writer, start, text, final }) => {
    checkOffset("start", start);
    checkLength(text);
    const stream = await ctx.db.get(streamId);
    if (stream === null) return null;
    const ended = isFinal(stream.status);
    if (stream.writer !== writer) {
      // A writer's last save takes its name off the stream; this is that save again.
      if (ended) return stream.status;
      throw new Error(
        stream.writer === undefined
          ? `Stream ${streamId} has not been claimed; a writer claims it first, and then appends.`
          : `Stream ${streamId} has been claimed by another writer; this one cannot append to it.`,
      );
    }
    const newest = await newestChunk(ctx.db, streamId);
    const end = await endOfText(ctx.db, newest);
    const rest = await unsavedPart(ctx, stream, end, start, text);
    if (rest === null) {
      throw new Error(
        `The saved text of stream ${streamId} ends at offset ${end}; text that starts at offset ${start} does not continue it.`,
      );
    }
    await appendText(ctx.db, streamId, newest, end, rest);

    if (final !== undefined) {
      const status = ended ? stream.status : final;
      await ctx.db.patch(streamId, { status, writer: undefined });
      await pack(ctx, streamId, end + rest.length);
      return status;
    }
    if (ended) return stream.status;
    if (text === "") {
      if (newest === null)
        await ctx.db.patch(streamId, { claimedAt: Date.now() });
      else await ctx.db.patch(newest._id, { savedAt: Date.now() });
    } else if (stream.status === "pending") {
      await ctx.db.patch(streamId, { status: "streaming" });
      return "streaming";
    }
    return stream.status;
  },
});

/** Adds text to a stream that nobody has claimed. The first makes it `streaming`, the one that is `final` makes it `done`. */
export const addChunk = mutation({
  args: { streamId: v.id("streams"), text: v.string(), final: v.boolean() },
  returns: v.null(),
  handler: async (ctx, { streamId, text, final }) => {
    checkLength(text);
    const stream = await get(ctx, streamId);
    if (isFinal(stream.status)) {
      throw new Error(
        `Stream ${streamId} is not streaming, it is ${stream.status}: nothing can be added to it. Create a new stream.`,
      );
    }
    if (stream.writer !== undefined) {
      // Text in between would not fit the offsets of the writer's own.
      throw new Error(
        `Stream ${streamId} has been claimed by a writer; nobody else can add to it.`,
      );
    }
    const newest = await newestChunk(ctx.db, streamId);
    const end = await endOfText(ctx.db, newest);
    await appendText(ctx.db, streamId, newest, end, text);
    if (final) {
      await ctx.db.patch(streamId, { status: "done" });
      await pack(ctx, streamId, end + text.length);
    } else if (stream.status === "pending") {
      await ctx.db.patch(streamId, { status: "streaming" });
    }
    return null;
  },
});

/** Sets the status of a stream. One that has ended keeps the status that it has. */
export const setStreamStatus = mutation({
  args: { streamId: v.id("streams"), status: streamStatus },
  returns: v.null(),
  handler: async (ctx, { streamId, status }) => {
    const stream = await get(ctx, streamId);
    if (isFinal(stream.status)) return null;
    if (isFinal(status)) {
      await end(ctx, stream, await newestChunk(ctx.db, streamId), status);
    } else await ctx.db.patch(streamId, { status });
    return null;
  },
});

/** Ends a stream as `aborted`. One that has ended, or was deleted, stays as it is. */
export const abort = mutation({
  args: { streamId: v.string() },
  returns: v.null(),
  handler: async (ctx, { streamId }) => {
    const stream = await find(ctx, streamId);
    if (stream !== null && !isFinal(stream.status)) {
      await end(ctx, stream, await newestChunk(ctx.db, stream._id), "aborted");
    }
    return null;
  },
});

/** A stream that does not exist reads as `error`. */
export const getStreamStatus = query({
  args: { streamId: v.string() },
  returns: streamStatus,
  handler: async (ctx, { streamId }) => {
    const stream = await find(ctx, streamId);
    return stream?.status ?? "error";
  },
});

/**
 * The saved text from offset `from` on, up to 4 MiB of it at a time, and up to
 * 256 chunks; without `from`, all of it. Null if there is no such stream.
 *
 * `upToDate` says that this is all that is saved by now, `draining` that the
 * stream was ended from outside and its writer may still save last words.
 */
export const read = query({
  args: { streamId: v.string(), from: v.optional(v.number()) },
  returns: v.union(
    streamPage.extend({ upToDate: v.boolean(), draining: v.boolean() }),
    v.null(),
  ),
  handler: async (ctx, { streamId, from }) => {
    if (from !== undefined) from = checkOffset("from", from);
    const stream = await find(ctx, streamId);
    if (stream === null) return null;
    const { page, complete } =
      from === undefined
        ? { page: await wholeText(ctx, stream), complete: true }
        : await readText(ctx.db, stream, from, PAGE_LIMIT);
    return {
      ...page,
      upToDate: complete,
      draining: isFinal(page.status) && stream.writer !== undefined,
    };
  },
});

/**
 * The offset at which the saved text ends, and what the stream is up to: all
 * that there is to know without the text. Null if there is no such stream.
 * `draining` is as in `read`.
 */
export const tail = query({
  args: { streamId: v.string() },
  returns: v.union(
    v.object({
      offset: v.number(),
      status: streamStatus,
      draining: v.boolean(),
    }),
    v.null(),
  ),
  handler: async (ctx, { streamId }) => {
    const stream = await find(ctx, streamId);
    if (stream === null) return null;
    const { status } = stream;
    const newest = await newestChunk(ctx.db, stream._id);
    return {
      offset: await endOfText(ctx.db, newest),
      status,
      draining: isFinal(status) && stream.writer !== undefined,
    };
  },
});

/** All the saved text. A stream that does not exist is an error here, as in version 0.3. */
export const getStreamText = query({
  args: { streamId: v.id("streams") },
  returns: streamBody,
  handler: async (ctx, { streamId }) => {
    const { text, status } = await wholeText(ctx, await get(ctx, streamId));
    return { text, status };
  },
});

/** The stream is gone at once, and its text in batches. */
export const deleteStream = mutation({
  args: { streamId: v.id("streams") },
  returns: v.null(),
  handler: async (ctx, { streamId }) => {
    await get(ctx, streamId);
    await ctx.db.delete(streamId);
    await deleteText(ctx, streamId, FIRST_DELETION);
    return null;
  },
});

export const deleteChunks = internalMutation({
  args: { streamId: v.id("streams") },
  returns: v.null(),
  handler: async (ctx, { streamId }) => {
    await deleteText(ctx, streamId, BATCH_LIMIT);
    return null;
  },
});

/** What version 0.3 scheduled to go on with a deletion: it may be waiting to run when this version takes over. */
export const _deleteChunksPage = internalMutation({
  args: { streamId: v.id("streams"), cursor: v.union(v.string(), v.null()) },
  returns: v.null(),
  handler: async (ctx, { streamId }) => {
    await deleteText(ctx, streamId, BATCH_LIMIT);
    return null;
  },
});

/** Goes on with packing the text of a stream that has ended, from offset `from`. */
export const packChunks = internalMutation({
  args: { streamId: v.id("streams"), from: v.number() },
  returns: v.null(),
  handler: async (ctx, { streamId, from }) => {
    // It may have been deleted since; its chunks are then being deleted, too.
    if ((await ctx.db.get(streamId)) === null) return null;
    const next = await packText(ctx.db, streamId, from);
    if (next !== null) await packLater(ctx, streamId, next);
    return null;
  },
});

/**
 * Numbers the rows that version 0.3 wrote of a stream, step by step, and packs
 * them if the stream has ended. To be run by hand (`npx convex run`), for a
 * text of so many rows that it cannot be read otherwise.
 *
 * @param args.count How far the steps before this one have come.
 */
export const numberRows = internalMutation({
  args: { streamId: v.id("streams"), count: v.optional(rowCount) },
  returns: v.null(),
  handler: async (ctx, { streamId, count }) => {
    const stream = await ctx.db.get(streamId);
    if (stream === null) return null;
    const next = await numberSomeRows(
      ctx.db,
      streamId,
      count ?? null,
      BATCH_LIMIT,
    );
    if (next !== null) {
      const step = { streamId, count: next };
      await ctx.scheduler.runAfter(0, internal.lib.numberRows, step);
    } else if (isFinal(stream.status)) await packLater(ctx, streamId);
    return null;
  },
});

/** Ends the draining of a stream that was ended from outside. If it still drains, its writer must have died. */
export const close = internalMutation({
  args: { streamId: v.id("streams") },
  returns: v.null(),
  handler: async (ctx, { streamId }) => {
    const stream = await ctx.db.get(streamId);
    if (stream?.writer !== undefined) {
      await ctx.db.patch(streamId, { writer: undefined });
    }
    return null;
  },
});

const liveStatus = v.union(v.literal("pending"), v.literal("streaming"));
const liveStatuses = ["pending", "streaming"] as const;

/**
 * Times out the streams whose writer gave no sign of life for 20 minutes.
 *
 * It looks at those that are at least so old, `CRON_LIMIT` at a time: at those
 * of one status after the other, oldest first. A live one is passed over, so
 * it does not hide the ones behind it.
 *
 * @param args.status, args.after Where the run before this one stopped: at a stream of this status and creation time.
 */
export const cleanupExpiredStreams = internalMutation({
  args: { status: v.optional(liveStatus), after: v.optional(v.number()) },
  returns: v.null(),
  handler: async (ctx, args) => {
    const deadline = Date.now() - TIMEOUT;
    const read = new Tally();
    for (const status of liveStatuses.slice(
      liveStatuses.indexOf(args.status ?? "pending"),
    )) {
      const after = status === args.status ? (args.after ?? 0) : 0;
      const old = await ctx.db
        .query("streams")
        .withIndex("byStatus", (q) =>
          q
            .eq("status", status)
            .gt("_creationTime", after)
            .lt("_creationTime", deadline),
        )
        .take(CRON_LIMIT.documents);
      for (const stream of old) {
        const newest = await newestChunk(ctx.db, stream._id);
        if (lastSignOfLife(stream, newest) < deadline) {
          await end(ctx, stream, newest, "timeout");
        }
        read.add(documentSize(newest?.text ?? ""));
        if (read.reaches(CRON_LIMIT)) {
          const { _creationTime: after } = stream;
          const next = { status, after };
          await ctx.scheduler.runAfter(
            0,
            internal.lib.cleanupExpiredStreams,
            next,
          );
          return null;
        }
      }
    }
    return null;
  },
});

function lastSignOfLife(
  stream: Doc<"streams">,
  newest: Doc<"chunks"> | null,
): number {
  return Math.max(
    stream._creationTime,
    stream.claimedAt ?? 0,
    newest?._creationTime ?? 0,
    newest?.savedAt ?? 0,
  );
}

/** Null for an id that names no stream, a malformed one included. */
async function find(
  ctx: QueryCtx,
  streamId: string,
): Promise<Doc<"streams"> | null> {
  const id = ctx.db.normalizeId("streams", streamId);
  return id === null ? null : ctx.db.get(id);
}

async function get(
  ctx: QueryCtx,
  streamId: Id<"streams">,
): Promise<Doc<"streams">> {
  const stream = await ctx.db.get(streamId);
  if (stream === null) {
    throw new Error(
      `Stream not found: there is no stream ${streamId}. It may have been deleted.`,
    );
  }
  return stream;
}

function checkLength(text: string): void {
  // No character takes more than three bytes for each of its code units.
  if (text.length * 3 <= ADDED_LIMIT) return;
  const bytes = new TextEncoder().encode(text).length;
  if (bytes <= ADDED_LIMIT) return;
  throw new Error(
    `This text has ${(bytes / MiB).toFixed(1)} MiB; at most 15 MiB can be added at once, as a Convex mutation may write 16 MiB. Add it in parts.`,
  );
}

/** @returns The same number; 0 for -0, which the database would look for before 0. */
function checkOffset(name: string, offset: number): number {
  if (Number.isSafeInteger(offset) && offset >= 0) return offset + 0;
  throw new Error(
    `${name} must be an offset into the text, a whole number from 0 on (UTF-16 code units); it is ${offset}.`,
  );
}

/**
 * What of a text that starts at offset `start` is not saved yet, null if it
 * contradicts what is saved. A save that is repeated because its answer was
 * lost finds its text there, and may bring more.
 */
async function unsavedPart(
  ctx: QueryCtx,
  stream: Doc<"streams">,
  end: number,
  start: number,
  text: string,
): Promise<string | null> {
  if (start === end) return text;
  if (start > end) return null;
  const { page } = await readText(ctx.db, stream, start, WHOLE_LIMIT);
  if (page.from !== start) return null;
  if (page.text.startsWith(text)) return "";
  // If not all of it could be read, nobody knows what of the text is new.
  const readsToEnd = start + page.text.length === end;
  if (!readsToEnd || !text.startsWith(page.text)) return null;
  return text.slice(page.text.length);
}

async function wholeText(ctx: QueryCtx, stream: Doc<"streams">) {
  const { page, complete } = await readText(ctx.db, stream, 0, WHOLE_LIMIT);
  if (!complete) {
    throw new Error(
      `Stream ${stream._id} has more text than one query may return (16 MiB). Read it in pages: getStreamBody(ctx, streamId, from), beginning with from = 0 and going on from the page's \`next\`.`,
    );
  }
  return page;
}

/**
 * Ends a stream from outside. If a writer is at it, that one will find out and
 * hand in what it has appended by then.
 */
async function end(
  ctx: MutationCtx,
  { _id, writer }: Doc<"streams">,
  newest: Doc<"chunks"> | null,
  status: FinalStatus,
) {
  await ctx.db.patch(_id, { status });
  if (writer !== undefined) {
    // It may have died, so readers must not wait for it forever.
    const { close } = internal.lib;
    await ctx.scheduler.runAfter(DRAIN_MS, close, { streamId: _id });
  }
  const isOnlyChunk = (newest?.start ?? 0) === 0;
  if (!isOnlyChunk) await packLater(ctx, _id);
}

/** Packs the text of a stream that has ended: at once if it fits into one document. */
async function pack(ctx: MutationCtx, streamId: Id<"streams">, length: number) {
  if (length <= CHUNK_LIMIT) await packText(ctx.db, streamId, 0);
  else await packLater(ctx, streamId);
}

async function packLater(ctx: MutationCtx, streamId: Id<"streams">, from = 0) {
  await ctx.scheduler.runAfter(0, internal.lib.packChunks, { streamId, from });
}

async function deleteText(
  ctx: MutationCtx,
  streamId: Id<"streams">,
  limit: ReadLimit,
) {
  const { chunks, more } = await takeChunks(chunksOf(ctx.db, streamId), limit);
  for (const chunk of chunks) await ctx.db.delete(chunk._id);
  if (more) {
    await ctx.scheduler.runAfter(0, internal.lib.deleteChunks, { streamId });
  }
}
