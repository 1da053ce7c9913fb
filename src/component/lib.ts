import { v } from "convex/values";
import {
  DEFAULT_TIMEOUT_MS,
  vStreamPage,
  vStreamStatus,
  isFinal,
  vStreamError,
  vStreamInfo,
} from "../shared.js";
import type { Doc, Id } from "./_generated/dataModel.js";
import {
  internalMutation,
  mutation,
  query,
  type MutationCtx,
} from "./_generated/server.js";
import { check, nextDeadline, noteSave, planCheck } from "./deadlines.js";
import { completeDeleted, endFromOutside, endStream } from "./endings.js";
import {
  deleteTextLater,
  deleteTexts as deleteSome,
  errorOf,
  getStream,
  getStreamOrThrow,
  infoOf,
  isClaimed,
  isDraining,
  UNCLAIMED_TIMEOUT_MS,
} from "./streams.js";
import {
  appendText,
  checkLength,
  checkOffset,
  checkTail,
  endOfText,
  newestChunk,
  pack,
  packLater,
  packText,
  readPage,
  unsavedPart,
  wholeText,
} from "./text.js";
import * as v03 from "./v03.js";

/** How many former writers of a live stream are remembered. */
const FORMER_WRITERS = 8;

// In the order of a stream's life: created, claimed, appended to, ended, read,
// deleted.

export const createStream = mutation({
  // No arguments, as in version 0.3, so that apps can call it without any.
  args: {},
  returns: v.id("streams"),
  handler: (ctx) => insertStream(ctx, {}),
});

/** Creates a stream with an `onComplete`. */
export const createWithCallback = mutation({
  args: {
    /** The handle and name of the app's `onComplete`, and its context. */
    onComplete: v.object({
      handle: v.string(),
      name: v.string(),
      context: v.optional(v.any()),
    }),
  },
  returns: v.id("streams"),
  handler: async (ctx, { onComplete }) =>
    insertStream(ctx, {
      callback: await ctx.db.insert("callbacks", onComplete),
    }),
});

async function insertStream(
  ctx: MutationCtx,
  fields: Pick<Doc<"streams">, "callback">,
): Promise<Id<"streams">> {
  const deadline = nextDeadline({});
  await planCheck(ctx, deadline);
  return ctx.db.insert("streams", { status: "pending", deadline, ...fields });
}

/**
 * Gives `writer` the right to append to a stream. Exactly one writer gets `claimed:
 * true`, and gets it again if it repeats the call. With `takeOver`, the claim of a
 * live stream moves to the next writer.
 */
export const claim = mutation({
  args: {
    streamId: v.string(),
    writer: v.string(),
    /** Default: the time-out of unclaimed streams. */
    timeoutMs: v.optional(v.number()),
    takeOver: v.optional(v.boolean()),
  },
  returns: v.object({
    claimed: v.boolean(),
    /** Null if there is no such stream. */
    status: v.union(vStreamStatus, v.null()),
    /** After a take-over: the offset where the new writer continues. */
    start: v.optional(v.number()),
  }),
  handler: async (ctx, args) => {
    const { writer, takeOver = false } = args;
    const { timeoutMs = UNCLAIMED_TIMEOUT_MS } = args;
    const stream = await getStream(ctx, args.streamId);
    if (stream === null) return { claimed: false, status: null };
    const { _id: streamId, status } = stream;
    const isMine = stream.writer === writer;
    const isFree = status === "pending" && !isClaimed(stream);
    // A claim that was repeated may arrive when another writer has taken over.
    const isLate = stream.formerWriters?.includes(writer) === true;
    if (isFinal(status) || isLate || !(isFree || isMine || takeOver)) {
      return { claimed: false, status };
    }
    const newest = await newestChunk(ctx.db, streamId);
    // `setStreamStatus` may have made it pending again. A writer starts at offset 0,
    // and could never save anything.
    if (isFree && newest !== null && !takeOver) {
      return { claimed: false, status };
    }
    const claimed = takeOver
      ? { claimed: true, status, start: await endOfText(ctx.db, newest) }
      : { claimed: true, status };
    if (isMine) return claimed;

    const deadline = Date.now() + timeoutMs;
    await planCheck(ctx, deadline);
    await ctx.db.patch(streamId, {
      writer,
      // Every query reads this document for every save, so it stays small.
      timeoutMs: timeoutMs === DEFAULT_TIMEOUT_MS ? undefined : timeoutMs,
      deadline,
      expiring: undefined,
      error: undefined,
      formerWriters: takeOver ? withFormer(stream) : undefined,
    });
    return claimed;
  },
});

/** The writers whose claims no longer count, now that the present one's does not. */
const withFormer = ({ formerWriters = [], writer }: Doc<"streams">) =>
  writer === undefined
    ? formerWriters
    : [...formerWriters, writer].slice(-FORMER_WRITERS);

/**
 * Saves text that starts at offset `start`, and with `final` ends the stream, in one
 * commit. Can be repeated until it is answered: text that is already there is not
 * saved again. Without text, it is a sign of life.
 *
 * A stream that was ended from outside still accepts from its writer what that had
 * appended before it noticed. The last save, the one with `final`, gives up the right
 * to append. With `final: "open"` it does only that: the stream stays open for a
 * writer that takes it over, and ends with this error if none comes.
 *
 * @returns The stream's status, null if it was deleted, or `"takenOver"` if another
 *   writer has claimed it.
 */
export const append = mutation({
  args: {
    streamId: v.id("streams"),
    writer: v.string(),
    start: v.number(),
    text: v.string(),
    final: v.optional(
      v.union(v.literal("done"), v.literal("error"), v.literal("open")),
    ),
    error: v.optional(vStreamError),
    result: v.optional(v.any()),
    /** Leave the `onComplete` for later: it failed in a way that cannot be caught. */
    owe: v.optional(v.boolean()),
  },
  returns: v.union(vStreamStatus, v.literal("takenOver"), v.null()),
  handler: async (ctx, args) => {
    const { streamId, writer, start, text, final, error, owe } = args;
    const result = args.result as unknown;
    checkOffset(streamId, "start", start);
    checkLength(streamId, text);
    const stream = await ctx.db.get(streamId);
    if (stream === null) return null;
    const ended = isFinal(stream.status);
    if (stream.writer !== writer) {
      // A writer's last save removes its name from the stream. This is a repetition
      // of that save.
      if (ended) return stream.status;
      if (isClaimed(stream)) return "takenOver";
      throw new Error(
        `Stream ${streamId} has not been claimed. Claim it before appending.`,
      );
    }
    const newest = await newestChunk(ctx.db, streamId);
    const end = await endOfText(ctx.db, newest);
    const rest = await unsavedPart(ctx, stream, end, start, text);
    if (rest === null) {
      throw new Error(
        `The saved text of stream ${streamId} ends at offset ${end}, so text that starts at offset ${start} does not continue it.`,
      );
    }
    await appendText(ctx.db, streamId, newest, end, rest);
    const length = end + rest.length;

    if (ended) {
      await saveLastWords(ctx, stream, length, final !== undefined);
      return stream.status;
    }
    if (final === "done" || final === "error") {
      await pack(ctx, streamId, length);
      const ending = { status: final, error, result, length, owe };
      await endStream(ctx, stream, ending);
      return final;
    }
    if (final === "open") {
      if (length > 0) await noteSave(ctx, stream);
      const deadline = nextDeadline(stream);
      const formerWriters = withFormer(stream);
      const changes = { deadline, error, formerWriters, writer: undefined };
      await ctx.db.patch(streamId, changes);
      return length > 0 ? "streaming" : stream.status;
    }
    if (text === "") {
      const deadline = nextDeadline(stream);
      await ctx.db.patch(streamId, { deadline, expiring: undefined });
      return stream.status;
    }
    await noteSave(ctx, stream);
    return "streaming";
  },
});

/** Saves text for a stream that was ended from outside. */
async function saveLastWords(
  ctx: MutationCtx,
  { _id: streamId }: Doc<"streams">,
  length: number,
  last: boolean,
): Promise<void> {
  if (!last) return ctx.db.patch(streamId, { length });
  await ctx.db.patch(streamId, { length, writer: undefined });
  await pack(ctx, streamId, length);
}

export const addChunk = mutation(v03.addChunk);
export const setStreamStatus = mutation(v03.setStreamStatus);

/** Ends a stream as `aborted`. No effect on one that has ended or was deleted. */
export const abort = mutation({
  args: { streamId: v.string() },
  returns: v.null(),
  handler: async (ctx, { streamId }) => {
    const stream = await getStream(ctx, streamId);
    if (stream !== null && !isFinal(stream.status)) {
      const newest = await newestChunk(ctx.db, stream._id);
      await endFromOutside(ctx, stream, newest, "aborted");
    }
    return null;
  },
});

/** One of the six statuses. Null if there is no such stream. */
export const getStatus = query({
  args: { streamId: v.string() },
  returns: v.union(vStreamStatus, v.null()),
  handler: async (ctx, { streamId }) =>
    (await getStream(ctx, streamId))?.status ?? null,
});

export const getStreamStatus = query(v03.getStreamStatus);

/**
 * The saved text from offset `from` on, at most 4 MiB and 256 chunks of it; with
 * `tail`, from that many code units before its end; without either, all of it. Null
 * if there is no such stream.
 *
 * `upToDate`: this is everything saved so far. `draining`: the stream was ended from
 * outside, and its writer may still save its last words.
 */
export const read = query({
  args: {
    streamId: v.string(),
    from: v.optional(v.number()),
    tail: v.optional(v.number()),
  },
  returns: v.union(
    vStreamPage.extend({ upToDate: v.boolean(), draining: v.boolean() }),
    v.null(),
  ),
  handler: async (ctx, args) => {
    const { tail } = args;
    let { from } = args;
    if (from !== undefined) from = checkOffset(args.streamId, "from", from);
    if (tail !== undefined) checkTail(args.streamId, tail);
    const stream = await getStream(ctx, args.streamId);
    if (stream === null) return null;
    if (tail !== undefined && from === undefined) {
      const newest = await newestChunk(ctx.db, stream._id);
      from = Math.max(0, (await endOfText(ctx.db, newest)) - tail);
    }
    const { page, complete } =
      from === undefined
        ? { page: await wholeText(ctx, stream), complete: true }
        : await readPage(ctx, stream, from);
    return {
      ...page,
      claimed: isFinal(stream.status) ? isDraining(stream) : isClaimed(stream),
      error: errorOf({ ...stream, status: page.status }),
      upToDate: complete,
      draining: isFinal(page.status) && isDraining(stream),
    };
  },
});

/**
 * The end of the saved text and the stream's status, without reading the text. Null
 * if there is no such stream. `draining` is as in `read`.
 */
export const tail = query({
  args: { streamId: v.string() },
  returns: v.union(
    v.object({
      offset: v.number(),
      status: vStreamStatus,
      draining: v.boolean(),
    }),
    v.null(),
  ),
  handler: async (ctx, { streamId }) => {
    const stream = await getStream(ctx, streamId);
    if (stream === null) return null;
    const { status } = stream;
    const newest = await newestChunk(ctx.db, stream._id);
    const offset = await endOfText(ctx.db, newest);
    return { offset, status, draining: isDraining(stream) };
  },
});

/**
 * For a writer: the stream's status, or whether another writer has taken it over.
 * Null if it was deleted.
 */
export const getClaim = query({
  args: { streamId: v.string(), writer: v.string() },
  returns: v.union(vStreamStatus, v.literal("takenOver"), v.null()),
  handler: async (ctx, { streamId, writer }) => {
    const stream = await getStream(ctx, streamId);
    if (stream === null) return null;
    const isLost = !isFinal(stream.status) && stream.writer !== writer;
    return isLost ? ("takenOver" as const) : stream.status;
  },
});

/** Everything about a stream except its text. Null if there is no such stream. */
export const getStreamInfo = query({
  args: { streamId: v.string() },
  returns: v.union(vStreamInfo, v.null()),
  handler: async (ctx, { streamId }) => {
    const stream = await getStream(ctx, streamId);
    return stream && infoOf(ctx, stream);
  },
});

export const getStreamText = query(v03.getStreamText);

/** Deletes a stream at once, and its text in batches. */
export const deleteStream = mutation({
  args: { streamId: v.id("streams") },
  returns: v.null(),
  handler: async (ctx, { streamId }) => {
    const stream = await getStreamOrThrow(ctx, streamId);
    await ctx.db.delete(streamId);
    await deleteTextLater(ctx, streamId);
    if (stream.callback !== undefined) {
      const newest = await newestChunk(ctx.db, streamId);
      await completeDeleted(ctx, stream, newest);
    }
    return null;
  },
});

/** Deletes the text of the streams deleted at this time, in batches. */
export const deleteTexts = internalMutation({
  args: { at: v.number() },
  returns: v.null(),
  handler: async (ctx, { at }) => {
    await deleteSome(ctx, at);
    return null;
  },
});

export const _deleteChunksPage = internalMutation(v03._deleteChunksPage);

/** Continues packing the text of an ended stream, from offset `from`. */
export const packChunks = internalMutation({
  args: { streamId: v.id("streams"), from: v.number() },
  returns: v.null(),
  handler: async (ctx, { streamId, from }) => {
    // It may have been deleted since, and its chunks with it.
    if ((await ctx.db.get(streamId)) === null) return null;
    const next = await packText(ctx.db, streamId, from);
    if (next !== null) await packLater(ctx, streamId, next);
    return null;
  },
});

/**
 * Ends the draining of a stream that was ended from outside. If it is still draining,
 * its writer must be dead. What that saved meanwhile has not been packed.
 */
export const close = internalMutation({
  args: { streamId: v.id("streams") },
  returns: v.null(),
  handler: async (ctx, { streamId }) => {
    const stream = await ctx.db.get(streamId);
    if (stream !== null && isDraining(stream)) {
      await ctx.db.patch(streamId, { writer: undefined });
      await packLater(ctx, streamId);
    }
    return null;
  },
});

/** Ends the streams without a sign of life in time, and runs the callbacks that are owed. */
export const cleanupExpiredStreams = internalMutation({
  args: {},
  returns: v.null(),
  handler: async (ctx) => {
    await check(ctx);
    return null;
  },
});
