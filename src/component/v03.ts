/**
 * Everything that exists only for version 0.3: the functions that its apps call, and
 * the rows that it wrote. A row is a chunk without `start`. Rows sort before all
 * chunks that have one, and are never packed: giving some of them a `start` would
 * change their order.
 */
import { v } from "convex/values";
import {
  isFinal,
  statusOf03,
  streamError,
  vStreamBody,
  vStreamStatus,
  type StreamStatus,
} from "../shared.js";
import type { Id } from "./_generated/dataModel.js";
import type { MutationCtx, QueryCtx } from "./_generated/server.js";
import { noteSave } from "./deadlines.js";
import { endFromOutside, endStream } from "./endings.js";
import {
  deleteTextLater,
  getStream,
  getStreamOrThrow,
  isClaimed,
} from "./streams.js";
import {
  documentSize,
  READ_LIMIT,
  Tally,
  appendText,
  checkLength,
  chunksOf,
  endOfText,
  newestChunk,
  pack,
  wholeText,
} from "./text.js";

/**
 * Adds text to an unclaimed stream. The first text makes it `streaming`, `final`
 * makes it `done`. Kept for apps of 0.3; goes in 1.0.
 */
export const addChunk = {
  args: { streamId: v.id("streams"), text: v.string(), final: v.boolean() },
  returns: v.null(),
  handler: async (
    ctx: MutationCtx,
    args: { streamId: Id<"streams">; text: string; final: boolean },
  ) => {
    const { streamId, text, final } = args;
    checkLength(streamId, text);
    const stream = await getStreamOrThrow(ctx, streamId);
    if (isFinal(stream.status)) {
      throw streamError(
        "StreamEnded",
        streamId,
        `Stream ${streamId} is not streaming, it is ${stream.status}, so nothing can be added. Create a new stream.`,
      );
    }
    if (isClaimed(stream)) {
      // Text from elsewhere would not fit the writer's offsets.
      throw streamError(
        "StreamClaimed",
        streamId,
        `A call of stream() or generate() is writing stream ${streamId}, so addChunk cannot add to it. Append in that call's writer, or create another stream for addChunk.`,
      );
    }
    const newest = await newestChunk(ctx.db, streamId);
    const end = await endOfText(ctx.db, newest);
    await appendText(ctx.db, streamId, newest, end, text);
    const length = end + text.length;
    if (final) {
      await pack(ctx, streamId, length);
      await endStream(ctx, stream, { status: "done", length });
      return null;
    }
    await noteSave(ctx, stream);
    return null;
  },
};

/** Sets the status of a stream. A stream that has ended keeps its status. Kept for apps of 0.3; goes in 1.0. */
export const setStreamStatus = {
  args: { streamId: v.id("streams"), status: vStreamStatus },
  returns: v.null(),
  handler: async (
    ctx: MutationCtx,
    { streamId, status }: { streamId: Id<"streams">; status: StreamStatus },
  ) => {
    const stream = await getStreamOrThrow(ctx, streamId);
    if (isFinal(stream.status)) return null;
    if (isFinal(status)) {
      const newest = await newestChunk(ctx.db, streamId);
      await endFromOutside(ctx, stream, newest, status);
    } else await ctx.db.patch(streamId, { status });
    return null;
  },
};

/** One of 0.3's five statuses. A stream that does not exist reads as `error`. Kept for apps of 0.3; goes in 1.0. */
export const getStreamStatus = {
  args: { streamId: v.string() },
  returns: vStreamBody.fields.status,
  handler: async (ctx: QueryCtx, { streamId }: { streamId: string }) => {
    const stream = await getStream(ctx, streamId);
    return statusOf03(stream?.status ?? "error");
  },
};

/**
 * All the saved text, and one of 0.3's five statuses. A stream that does not
 * exist is an error, as in 0.3. Kept for apps of 0.3; goes in 1.0.
 */
export const getStreamText = {
  args: { streamId: v.id("streams") },
  returns: vStreamBody,
  handler: async (ctx: QueryCtx, { streamId }: { streamId: Id<"streams"> }) => {
    const stream = await getStreamOrThrow(ctx, streamId);
    const { text, status } = await wholeText(ctx, stream);
    return { text, status: statusOf03(status) };
  },
};

/**
 * Version 0.3 scheduled this to continue a deletion. A call may still be waiting when
 * this version takes over.
 */
export const _deleteChunksPage = {
  args: { streamId: v.id("streams"), cursor: v.union(v.string(), v.null()) },
  returns: v.null(),
  handler: async (
    ctx: MutationCtx,
    { streamId }: { streamId: Id<"streams"> },
  ) => {
    await deleteTextLater(ctx, streamId);
    return null;
  },
};

/**
 * How many rows, and how much text, form one chunk for readers. Pages have at most
 * 256 chunks, and reading each page counts all rows before it.
 */
const ROWS_AT_ONCE = 128;
const ROWS_CHARS = 64 * 1024;

/**
 * The chunks of a stream that starts with rows, in order, each with its offset. Adds
 * what it reads to `read`.
 */
export async function* rowsAsChunks(
  db: QueryCtx["db"],
  streamId: Id<"streams">,
  read: Tally,
): AsyncGenerator<{ start: number; text: string }> {
  let start = 0;
  let rows: string[] = [];
  let length = 0;
  function* gathered() {
    if (length > 0) yield { start, text: rows.join("") };
    start += length;
    rows = [];
    length = 0;
  }
  for await (const row of chunksOf(db, streamId)) {
    read.add(documentSize(row.text));
    // Chunks stay what they are.
    if (row.start !== undefined) yield* gathered();
    rows.push(row.text);
    length += row.text.length;
    if (rows.length === ROWS_AT_ONCE || length >= ROWS_CHARS) yield* gathered();
  }
  yield* gathered();
}

/** The length of a text made of rows. */
export async function lengthOfRows(
  db: QueryCtx["db"],
  streamId: Id<"streams">,
): Promise<number> {
  const read = new Tally();
  let end = 0;
  for await (const { text } of chunksOf(db, streamId)) {
    read.add(documentSize(text));
    if (read.exceeds(READ_LIMIT)) throw tooManyRows(streamId, end);
    end += text.length;
  }
  return end;
}

/** For a text that even version 0.3 could not have read. */
export function tooManyRows(streamId: Id<"streams">, offset: number): Error {
  return streamError(
    "TextTooLong",
    streamId,
    `Stream ${streamId} has more text of version 0.3 before offset ${offset} than one function may read (16 MiB, 32,000 documents), so that offset cannot be found. Read the text from the beginning, in pages: getStreamBody(ctx, streamId, 0). Or delete the stream.`,
  );
}
