/**
 * The saved text of a stream: chunks that follow one another without a gap.
 *
 * A chunk is a page. The newest one grows in place until it is a page long;
 * then the next begins. So the page boundaries depend on what is stored and on
 * nothing else, and all readers of a stream walk along the same ones.
 */
import {
  cutLength,
  isLowSurrogate,
  isFinal,
  type StreamPage,
  type StreamStatus,
} from "../shared.js";
import type { Doc, Id } from "./_generated/dataModel.js";
import type { MutationCtx, QueryCtx } from "./_generated/server.js";

/** From this length on (UTF-16 code units) a chunk no longer grows. */
export const PAGE_LENGTH = 512;

/** No chunk is longer than this: 64 Ki code units are 192 KiB at most, of the 1 MiB that a document may have. */
export const CHUNK_LIMIT = 64 * 1024;

export function newestChunk(
  db: QueryCtx["db"],
  streamId: Id<"streams">,
): Promise<Doc<"chunks"> | null> {
  return chunksOf(db, streamId).order("desc").first();
}

/** How much is read: so many bytes, so many documents. */
export interface ReadLimit {
  bytes: number;
  documents: number;
}

/**
 * What one function reads of a stream. Convex's limits are 16 MiB and 32,000
 * documents; by the time this one is passed, it may have been by a row of
 * version 0.3 of 1 MiB.
 */
const READ_LIMIT: ReadLimit = { bytes: 14.9 * 1024 * 1024, documents: 31_000 };

/**
 * The first of these chunks, until they are so large or so many; one at least.
 * `more` says that there may be others behind them.
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

/** The offset at which the saved text ends, given the newest chunk. */
export async function endOfText(
  db: QueryCtx["db"],
  newest: Doc<"chunks"> | null,
): Promise<number> {
  if (newest === null) return 0;
  if (newest.start !== undefined) return newest.start + newest.text.length;
  // Only rows of version 0.3 so far, which do not know where they start.
  const read = new Tally();
  let end = 0;
  for await (const { text } of chunksOf(db, newest.streamId)) {
    read.add(documentSize(text));
    if (read.exceeds(READ_LIMIT)) throw tooManyRows(newest.streamId, end);
    end += text.length;
  }
  return end;
}

/** Adds `text` behind the newest chunk, which ends at offset `end`. */
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

/**
 * The saved text from an offset on, as far as `limit` goes: that is bytes of
 * JSON, and chunks. Rows of version 0.3 do not count among these: each page of
 * them is read by counting all rows before it, so the shorter the pages, the
 * more often.
 *
 * Text that goes on beyond the limit reads as `streaming`: a reader has the
 * end of the stream only when it has all of the text.
 */
export async function readText(
  db: QueryCtx["db"],
  stream: Doc<"streams">,
  from: number,
  limit: ReadLimit,
): Promise<{ page: StreamPage; complete: boolean }> {
  const parts: string[] = [];
  const read = new Tally();
  const taken = new Tally();
  let start = from;
  let end = 0;
  let boundary = 0;
  let complete = true;
  for await (const chunk of chunksFrom(db, stream._id, from, read)) {
    // Rows of version 0.3 that lie before `from` are read and not returned.
    if (chunk.start + chunk.text.length > from) {
      taken.add(jsonSize(chunk.text), chunk.isPage ? 1 : 0);
    }
    const isTooMuch = taken.exceeds(limit) || read.exceeds(READ_LIMIT);
    if (isTooMuch && parts.length > 0) {
      complete = false;
      break;
    }
    if (read.exceeds(READ_LIMIT)) throw tooManyRows(stream._id, from);
    end = chunk.start + chunk.text.length;
    boundary = chunk.text.length < PAGE_LENGTH ? chunk.start : end;
    if (parts.length > 0) {
      parts.push(chunk.text);
      continue;
    }
    let skipped = Math.max(0, from - chunk.start);
    if (skipped > 0 && isLowSurrogate(chunk.text.charCodeAt(skipped))) {
      // Half a character is not a legal string; this one starts with the whole.
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

/**
 * Rewrites the chunks of an ended stream into as few as will hold them, from
 * the one that starts at offset `from` on. Offsets stay as they are.
 *
 * @returns The offset to go on from, or null when all is packed.
 */
export async function packText(
  db: MutationCtx["db"],
  streamId: Id<"streams">,
  from: number,
): Promise<number | null> {
  // Rows of version 0.3 sort before all others, whatever they hold: packing
  // some of them would change the order. They stay as they are.
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
  // The last one may have room for what follows, so the next run begins there.
  return more ? start - (packed.at(-1)?.length ?? 0) : null;
}

/** How much `packText` takes on at once: 256 documents and, but for the last of them, 1.5 MiB of text. */
const PACK_BATCH = 256;
const PACK_LENGTH = 8 * CHUNK_LIMIT;

/** Bytes and documents, as they add up. */
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

  exceeds(limit: ReadLimit): boolean {
    return this.bytes > limit.bytes || this.documents > limit.documents;
  }
}

/** What a chunk takes beside its text (bytes, about): ids, times, names of fields. */
const CHUNK_OVERHEAD = 150;
const encoder = new TextEncoder();

/** The size of a chunk's document (bytes). */
export function documentSize(text: string): number {
  return encoder.encode(text).length + CHUNK_OVERHEAD;
}

/** The size of text on its way to a reader (bytes). A control character takes six there. */
function jsonSize(text: string): number {
  return encoder.encode(JSON.stringify(text)).length;
}

function tooManyRows(streamId: Id<"streams">, offset: number): Error {
  return new Error(
    `Stream ${streamId} has more text of version 0.3 before offset ${offset} than one function may read (16 MiB, 32,000 documents), and it has to be counted to find that offset. Number its rows once: npx convex run --component persistentTextStreaming lib:numberRows '{"streamId":"${streamId}"}'.`,
  );
}

export function chunksOf(db: QueryCtx["db"], streamId: Id<"streams">) {
  return db
    .query("chunks")
    .withIndex("byStream", (q) => q.eq("streamId", streamId));
}

/** The chunks from the one that contains offset `from` on, in order. Those that are no pages are rows of version 0.3. Adds what it reads to `read`. */
async function* chunksFrom(
  db: QueryCtx["db"],
  streamId: Id<"streams">,
  from: number,
  read: Tally,
): AsyncGenerator<{ start: number; text: string; isPage: boolean }> {
  const first = await db
    .query("chunks")
    .withIndex("byStream", (q) => q.eq("streamId", streamId).lte("start", from))
    .order("desc")
    .first();
  if (first === null) return;
  read.add(documentSize(first.text));
  if (first.start === undefined) {
    // Rows of version 0.3: only by counting from the beginning can it be told
    // where they start.
    let start = 0;
    for await (const row of chunksOf(db, streamId)) {
      read.add(documentSize(row.text));
      yield { start, text: row.text, isPage: row.start !== undefined };
      start += row.text.length;
    }
    return;
  }
  yield { start: first.start, text: first.text, isPage: true };
  for await (const { start = 0, text } of db
    .query("chunks")
    .withIndex("byStream", (q) =>
      q.eq("streamId", streamId).gt("start", first.start),
    )) {
    read.add(documentSize(text));
    yield { start, text, isPage: true };
  }
}

/** Cuts text into as many pieces as `CHUNK_LIMIT` asks for, at whole characters. */
function pieces(text: string): string[] {
  const out: string[] = [];
  for (let rest = text; rest.length > 0;) {
    const length = cutLength(rest, CHUNK_LIMIT);
    out.push(rest.slice(0, length));
    rest = rest.slice(length);
  }
  return out;
}
