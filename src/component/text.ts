/**
 * The saved text of a stream: chunks that follow each other without gaps.
 *
 * A chunk is a page. The newest one grows in place until it is a page long; then the
 * next one starts. So page boundaries depend only on the stored text, and all readers
 * of a stream use the same ones. When the stream ends, its text is packed into as few
 * chunks as possible.
 */
import {
  cutLength,
  isLowSurrogate,
  isFinal,
  streamError,
  type StreamPage,
  type StreamStatus,
} from "../shared.js";
import { isOffset } from "../protocol.js";
import { internal } from "./_generated/api.js";
import type { Doc, Id } from "./_generated/dataModel.js";
import type { MutationCtx, QueryCtx } from "./_generated/server.js";
import { lengthOfRows, rowsAsChunks, tooManyRows } from "./v03.js";

/** A chunk of this length (UTF-16 code units) no longer grows. */
export const PAGE_LENGTH = 512;

/**
 * The longest chunk: 64 Ki code units are at most 192 KiB, far below the 1 MiB limit
 * of a document.
 */
export const CHUNK_LIMIT = 64 * 1024;

/** The part of a page that comes from text and status. */
type TextPage = Omit<StreamPage, "claimed" | "error">;

const MiB = 1024 * 1024;

/** How much text a query returns. Convex's limit is 16 MiB, and a result is more than its text. */
const WHOLE_LIMIT: ReadLimit = { bytes: 15 * MiB, documents: Infinity };
/** Pages are limited too, so no reader makes a query read thousands of documents. */
const PAGE_LIMIT: ReadLimit = { bytes: 4 * MiB, documents: 256 };

/**
 * How much text (bytes of UTF-8) can be added at once. A Convex mutation may write 16
 * MiB, and chunks are more than their text.
 */
const ADDED_LIMIT = 15 * MiB;

/** How much one function may read, in bytes and documents. */
export interface ReadLimit {
  bytes: number;
  documents: number;
}

/**
 * How much one function reads of a stream. Convex's limits are 16 MiB and 32,000
 * documents. A row of version 0.3 of 1 MiB may exceed this one.
 */
export const READ_LIMIT: ReadLimit = {
  bytes: 14.9 * MiB,
  documents: 31_000,
};

/** A running total of bytes and documents. */
export class Tally {
  private bytes = 0;
  private documents = 0;

  add(bytes: number, documents = 1): void {
    this.bytes += bytes;
    this.documents += documents;
  }

  reaches(limit: ReadLimit): boolean {
    return this.bytes >= limit.bytes || this.documents >= limit.documents;
  }

  /** The rest of a limit. */
  rest({ bytes, documents }: ReadLimit): ReadLimit {
    return {
      bytes: bytes - this.bytes,
      documents: documents - this.documents,
    };
  }

  exceeds(limit: ReadLimit): boolean {
    return this.bytes > limit.bytes || this.documents > limit.documents;
  }
}

/** The size of a chunk without its text (bytes, roughly): ids, times, field names. */
const CHUNK_OVERHEAD_BYTES = 150;
const encoder = new TextEncoder();

/** The size of a chunk's document (bytes). */
export function documentSize(text: string): number {
  return encoder.encode(text).length + CHUNK_OVERHEAD_BYTES;
}

/** The size of text as JSON (bytes). A control character takes six. */
export function jsonSize(text: string): number {
  return encoder.encode(JSON.stringify(text)).length;
}

export function newestChunk(
  db: QueryCtx["db"],
  streamId: Id<"streams">,
): Promise<Doc<"chunks"> | null> {
  return chunksOf(db, streamId).order("desc").first();
}

/**
 * The first of these chunks up to a limit, but at least one. `more` means that others
 * may follow.
 */
export async function takeChunks(
  chunks: AsyncIterable<Doc<"chunks">>,
  limit: ReadLimit,
): Promise<{ chunks: Doc<"chunks">[]; more: boolean }> {
  const read = new Tally();
  const taken: Doc<"chunks">[] = [];
  for await (const chunk of chunks) {
    taken.push(chunk);
    read.add(documentSize(chunk.text));
    if (read.reaches(limit)) return { chunks: taken, more: true };
  }
  return { chunks: taken, more: false };
}

/** The end of the saved text, given the newest chunk. */
export async function endOfText(
  db: QueryCtx["db"],
  newest: Doc<"chunks"> | null,
): Promise<number> {
  if (newest === null) return 0;
  if (newest.start !== undefined) return newest.start + newest.text.length;
  return lengthOfRows(db, newest.streamId);
}

/** Adds `text` after the newest chunk, which ends at offset `end`. */
export async function appendText(
  db: MutationCtx["db"],
  streamId: Id<"streams">,
  newest: Doc<"chunks"> | null,
  end: number,
  text: string,
): Promise<void> {
  if (text === "") return;
  const savedAt = Date.now();
  let taken = 0;
  if (newest?.start !== undefined && newest.text.length < PAGE_LENGTH) {
    taken = cutLength(text, CHUNK_LIMIT - newest.text.length);
    await db.patch(newest._id, {
      text: newest.text + text.slice(0, taken),
      savedAt,
    });
  }
  for (const piece of pieces(text.slice(taken))) {
    await db.insert("chunks", {
      streamId,
      start: end + taken,
      text: piece,
      savedAt,
    });
    taken += piece.length;
  }
}

export function checkLength(streamId: string, text: string): void {
  // A code unit takes at most three bytes.
  if (text.length * 3 <= ADDED_LIMIT) return;
  const bytes = encoder.encode(text).length;
  if (bytes <= ADDED_LIMIT) return;
  throw streamError(
    "TextTooLong",
    streamId,
    `This text has ${(bytes / MiB).toFixed(1)} MiB; at most 15 MiB can be added at once, as a Convex mutation may write 16 MiB. Add it in parts.`,
  );
}

/**
 * The unsaved part of a text that starts at offset `start`, or null if it contradicts
 * the saved text. A save that is repeated because its answer was lost finds its text
 * there, and may add more.
 */
export async function unsavedPart(
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
  // If not all of it could be read, the new part is unknown.
  const readsToEnd = start + page.text.length === end;
  if (!readsToEnd || !text.startsWith(page.text)) return null;
  return text.slice(page.text.length);
}

/**
 * The saved text, starting at an offset, up to `limit` (bytes of JSON, and chunks).
 *
 * Text that continues beyond the limit reads as `streaming`, so a reader gets a final
 * status only with all of the text.
 */
export async function readText(
  db: QueryCtx["db"],
  stream: Doc<"streams">,
  from: number,
  limit: ReadLimit,
): Promise<{ page: TextPage; complete: boolean }> {
  const parts: string[] = [];
  const read = new Tally();
  const taken = new Tally();
  let start = from;
  let end = 0;
  let boundary = 0;
  let complete = true;
  for await (const chunk of chunksFrom(db, stream._id, from, read)) {
    if (chunk.start + chunk.text.length > from) taken.add(jsonSize(chunk.text));
    const isTooMuch = taken.exceeds(limit) || read.exceeds(READ_LIMIT);
    if (isTooMuch && parts.length > 0) {
      complete = false;
      break;
    }
    if (read.exceeds(READ_LIMIT)) throw tooManyRows(stream._id, from);
    end = chunk.start + chunk.text.length;
    boundary = chunk.text.length < PAGE_LENGTH ? chunk.start : end;
    let skipped = Math.max(0, from - chunk.start);
    if (isLowSurrogate(chunk.text.charCodeAt(skipped))) {
      // Half a character is not a legal string, so start with the whole one.
      skipped--;
      start--;
    }
    if (skipped < chunk.text.length) parts.push(chunk.text.slice(skipped));
  }
  const text = parts.join("");
  const ended = isFinal(stream.status);
  const status: StreamStatus = complete ? stream.status : "streaming";
  const next = complete && !ended ? boundary : end;
  return {
    page: { text, status, from: start, next: Math.max(from, next) },
    complete,
  };
}

/** @returns The same number, but 0 for -0, which the database would sort before 0. */
export function checkOffset(
  streamId: string,
  name: string,
  offset: number,
): number {
  if (isOffset(offset)) return offset + 0;
  throw streamError(
    "InvalidOffset",
    streamId,
    `${name} must be an offset into the text, a whole number of 0 or more (UTF-16 code units); it is ${offset}.`,
  );
}

export function checkTail(streamId: string, tail: number): void {
  if (isOffset(tail)) return;
  throw streamError(
    "InvalidOffset",
    streamId,
    `tail must be a whole number of 0 or more: how much of the end of the text to read (UTF-16 code units). It is ${tail}.`,
  );
}

export async function wholeText(ctx: QueryCtx, stream: Doc<"streams">) {
  const { page, complete } = await readText(ctx.db, stream, 0, WHOLE_LIMIT);
  if (!complete) {
    throw streamError(
      "TextTooLong",
      stream._id,
      `Stream ${stream._id} has more text than one query may return (16 MiB). Read it in pages: getStreamBody(ctx, streamId, from), beginning with from = 0 and going on from the page's \`next\`.`,
    );
  }
  return page;
}

/** A page of the saved text: the result of one query. */
export function readPage(ctx: QueryCtx, stream: Doc<"streams">, from: number) {
  return readText(ctx.db, stream, from, PAGE_LIMIT);
}

export function chunksOf(db: QueryCtx["db"], streamId: Id<"streams">) {
  return db
    .query("chunks")
    .withIndex("byStream", (q) => q.eq("streamId", streamId));
}

/** The chunks in order, from the one that contains offset `from`. Adds what it reads to `read`. */
async function* chunksFrom(
  db: QueryCtx["db"],
  streamId: Id<"streams">,
  from: number,
  read: Tally,
): AsyncGenerator<{ start: number; text: string }> {
  const first = await db
    .query("chunks")
    .withIndex("byStream", (q) => q.eq("streamId", streamId).lte("start", from))
    .order("desc")
    .first();
  if (first === null) return;
  read.add(documentSize(first.text));
  if (first.start === undefined) {
    yield* rowsAsChunks(db, streamId, read);
    return;
  }
  yield { start: first.start, text: first.text };
  for await (const { start = 0, text } of db
    .query("chunks")
    .withIndex("byStream", (q) =>
      q.eq("streamId", streamId).gt("start", first.start),
    )) {
    read.add(documentSize(text));
    yield { start, text };
  }
}

/** Cuts text into pieces of at most `CHUNK_LIMIT`, at whole characters. */
export function pieces(text: string): string[] {
  const out: string[] = [];
  for (let rest = text; rest.length > 0;) {
    const length = cutLength(rest, CHUNK_LIMIT);
    out.push(rest.slice(0, length));
    rest = rest.slice(length);
  }
  return out;
}

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

  // No chunk is longer than a piece, so there are at most as many pieces as chunks.
  const packed = pieces(chunks.map((chunk) => chunk.text).join(""));
  let start = from;
  for (const [i, chunk] of chunks.entries()) {
    const text = packed[i];
    if (text === undefined) {
      await db.delete(chunk._id);
      continue;
    }
    if (chunk.start !== start || chunk.text !== text) {
      await db.patch(chunk._id, { start, text });
    }
    start += text.length;
  }
  // The last one may have room for more, so the next run starts there.
  return more ? start - (packed.at(-1)?.length ?? 0) : null;
}
