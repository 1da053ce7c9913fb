import { Base64 } from "convex/values";
import type { PersistentTextStreaming, StreamId } from "../client/index.js";
import type { RunQueryCtx } from "../client/options.js";
import { mayBeId, shown } from "../client/values.js";
import {
  ATTEMPTS,
  isLast,
  news,
  readPage,
  savedStream,
  sendPages,
  type ReadPage,
  type SavedPage,
  type SavedStream,
} from "../client/follow.js";
import {
  emptyResponse,
  errorResponse,
  notFound,
  textResponse,
} from "../client/responses.js";
import { durable, formatOffset, parseOffset, wire } from "../protocol.js";
import { cutLength, isFinal, type StreamStatus } from "../shared.js";
import { now, retry } from "../time.js";

/** A reader's position, for the headers of the response. */
interface Position {
  next: number;
  upToDate: boolean;
  closed: boolean;
  status: StreamStatus;
}

/** The request in a URL. */
interface Query {
  from: number | "now";
  live: "long-poll" | "sse" | null;
  cursor: string | null;
}

/**
 * Answers an HTTP request according to the Durable Streams protocol
 * (https://github.com/durable-streams/durable-streams). GET returns the saved text
 * from an `offset` on, and with `live=long-poll` or `live=sse` also what follows. HEAD
 * returns where it ends. Writing is up to `stream` and `generate`. Each stream has its
 * own URL:
 *
 * ```ts
 * const read = httpAction((ctx, request) => {
 *   const streamId = new URL(request.url).pathname.split("/").at(-1);
 *   return serveDurableStream(streaming, ctx, request, streamId as StreamId);
 * });
 * http.route({ pathPrefix: "/streams/", method: "GET", handler: read });
 * ```
 *
 * A live reader costs one action call per long-poll: one per save while text arrives,
 * three a minute while none does. With `sse` it costs one a minute. It reads the
 * database as often as `resume` does.
 *
 * @param streaming The app's `PersistentTextStreaming`.
 * @param options.contentType The type of the text. Default:
 *   `text/plain; charset=utf-8`. Types other than `text/…`, such as
 *   `application/x-ndjson`, are sent as base64 in events and arrive unchanged. With
 *   `text/…`, events turn CR LF and CR into LF.
 * @returns A response whose headers you may change. `Stream-Closed` says that the
 *   stream has ended, `Stream-Status` how. 404, 400 and 405 have the body
 *   `{ "error": … }`.
 * @throws TypeError for the content types `application/json` and `text/event-stream`,
 *   which the protocol does not treat as plain text.
 */
export async function serveDurableStream(
  streaming: PersistentTextStreaming,
  ctx: RunQueryCtx,
  request: Request,
  streamId: StreamId,
  options: { contentType?: string | undefined } = {},
): Promise<Response> {
  const { contentType = "text/plain; charset=utf-8" } = options;
  if (/^(application\/json|text\/event-stream)\b/i.test(contentType)) {
    throw new TypeError(
      `The content type ${shown(contentType)} means more than text in Durable Streams: an array of messages, or events of the protocol itself. Serve the stream as text/plain or, with a value in each line, as application/x-ndjson.`,
    );
  }
  const stream = savedStream(streaming.component.lib, ctx, streamId);
  const response = await answer(stream, request, streamId, contentType);
  for (const [name, value] of Object.entries(everyReply)) {
    response.headers.set(name, value);
  }
  return response;
}

/**
 * Headers of every response, errors included: who may embed it, and which headers a
 * page may read.
 */
const everyReply = {
  // CORS decides which pages get the text, and is up to the app. This header is about
  // pages that embed it without asking.
  "Cross-Origin-Resource-Policy": "same-origin",
  "Access-Control-Expose-Headers": [
    ...Object.values(durable),
    wire.nextOffset,
    wire.closed,
    wire.status,
    "ETag",
  ].join(", "),
};

async function answer(
  stream: SavedStream,
  request: Request,
  streamId: string,
  contentType: string,
): Promise<Response> {
  const { method, url } = request;
  if (method !== "GET" && method !== "HEAD") {
    return errorResponse(
      405,
      `Streams can only be read here, with GET or HEAD, not ${method}.`,
      { Allow: "GET, HEAD" },
    );
  }
  if (!mayBeId(streamId)) return notFound(streamId);
  const query = queryOf(url);
  if (typeof query === "string") return errorResponse(400, query);
  const { live, cursor } = query;

  let { from } = query;
  if (from === "now" || method === "HEAD") {
    const tail = await retry(ATTEMPTS, stream.tail);
    if (tail === null) return notFound(streamId);
    from = tail.offset;
    if (live === null || method === "HEAD") {
      const headers = headersOf({
        next: tail.offset,
        upToDate: true,
        closed: isFinal(tail.status) && !tail.draining,
        status: tail.status,
      });
      return textResponse(null, { "Content-Type": contentType, ...headers });
    }
  }

  const first = await readPage(stream.read, from);
  if (first === null) return notFound(streamId);
  switch (live) {
    case null:
      return catchUp(first, request, streamId, contentType);
    case "long-poll": {
      const page = await news(first, stream.read, request.signal);
      if (page === null) return notFound(streamId);
      const headers = {
        ...headersOf(positionOf(page)),
        ...(isLast(page) ? {} : { [durable.cursor]: nextCursor(cursor) }),
      };
      if (page.text === "") return emptyResponse(204, headers);
      return textResponse(page.text, {
        "Content-Type": contentType,
        ETag: tagOf(streamId, page),
        ...headers,
      });
    }
    case "sse":
      return sendEvents(first, stream.read, request, {
        streamId,
        cursor,
        // Events carry lines, whatever their line breaks. Other content types arrive
        // unchanged.
        base64: !/^text\//i.test(contentType),
      });
  }
}

/** One page of the text saved so far. */
function catchUp(
  page: SavedPage,
  request: Request,
  streamId: string,
  contentType: string,
): Response {
  const tag = tagOf(streamId, page);
  const headers = {
    ...headersOf(positionOf(page)),
    ETag: tag,
    // The reader's own cache may keep it, but must ask each time. So each request is
    // authorized, and gets a 304 if nothing has changed.
    "Cache-Control": "private, no-cache",
  };
  if (names(request.headers.get("If-None-Match"), tag)) {
    return emptyResponse(304, headers);
  }
  return textResponse(page.text, { "Content-Type": contentType, ...headers });
}

/** The request in a URL, or what is wrong with it. */
function queryOf(url: string): Query | string {
  const { searchParams } = new URL(url);
  const live = searchParams.get("live");
  if (live !== null && live !== "long-poll" && live !== "sse") {
    return `The parameter live must be "long-poll", "sse" or left out, not ${shown(live)}.`;
  }
  const tokens = searchParams.getAll(wire.offset);
  if (live !== null && tokens.length === 0) {
    return `With live=${live} the parameter offset must say where to start: -1 for the beginning, "now", or a Stream-Next-Offset.`;
  }
  const [token = "-1"] = tokens;
  const from = token === "now" ? token : parseOffset(token);
  if (from === null || tokens.length > 1) {
    return `The parameter offset must be one Stream-Next-Offset, -1 or "now", not ${shown(tokens.join(", "))}.`;
  }
  return { from, live, cursor: searchParams.get("cursor") };
}

function positionOf(page: SavedPage): Position {
  return {
    next: page.from + page.text.length,
    upToDate: page.upToDate,
    closed: isLast(page),
    status: page.status,
  };
}

function headersOf(position: Position): Record<string, string> {
  return {
    [wire.nextOffset]: formatOffset(position.next),
    [wire.status]: position.status,
    ...(position.upToDate && { [durable.upToDate]: "true" }),
    ...(position.closed && { [wire.closed]: "true" }),
  };
}

/** The ETag: the page of the stream, and its status. */
function tagOf(streamId: string, page: SavedPage): string {
  const { next, upToDate, closed, status } = positionOf(page);
  const state = closed ? "closed" : upToDate ? "open" : "more";
  return `"${[streamId, page.from, next, state, status].join(":")}"`;
}

/** Whether an `If-None-Match` contains this tag, even if a compressing proxy made it weak. */
function names(header: string | null, tag: string): boolean {
  return (header ?? "")
    .split(",")
    .map((item) => item.trim().replace(/^W\//, ""))
    .some((item) => item === tag || item === "*");
}

/**
 * The response ends after this long (ms). The reader then asks again, from whatever
 * serves the stream by then.
 */
const LONGEST_RESPONSE = 60_000;
/**
 * It also ends after this much text (UTF-16 code units): as events at most 12 MiB, of
 * the 20 MiB that a response may have.
 */
const LARGEST_RESPONSE = 2 * 1024 * 1024;
/**
 * The most text in one event (UTF-16 code units). A cut connection loses at most
 * that, and it comes again.
 */
const LARGEST_EVENT = 64 * 1024;

/** How a stream is sent as events. */
interface EventOptions {
  streamId: string;
  cursor: string | null;
  /** Whether text is sent as base64, unchanged. Otherwise CR LF and CR become LF. */
  base64: boolean;
}

/**
 * The response with a stream as server-sent events: each piece of text in a `data`
 * event, followed by a `control` event with the reader's position.
 */
function sendEvents(
  first: SavedPage,
  read: ReadPage,
  request: Request,
  { streamId, cursor, base64 }: EventOptions,
): Response {
  const deadline = now() + LONGEST_RESPONSE;
  const encode = base64 ? toBase64 : (text: string) => text;
  let sent = 0;
  let said = "";
  let held = "";

  const body = sendPages(first, read, request, streamId, (page, write) => {
    const last = isLast(page);
    let rest = held + page.text;
    let at = page.from - held.length;
    // The page may end in the middle of a line break: CR here, LF in the next page.
    // In events they are one, so they stay together.
    held = !base64 && !last && rest.endsWith("\r") ? "\r" : "";
    if (held !== "") rest = rest.slice(0, -1);
    do {
      const length = eventLength(rest, LARGEST_EVENT);
      const data = rest.slice(0, length);
      at += length;
      rest = rest.slice(length);
      const isEnd = rest === "" && held === "" && page.upToDate;
      const control = {
        streamNextOffset: formatOffset(at),
        ...(isEnd && { upToDate: true }),
        ...(isEnd && last && { streamClosed: true }),
      };
      // Sent once, unless there is text, which has its own control event.
      const says = JSON.stringify(control);
      if (data === "" && says === said) break;
      said = says;
      if (!control.streamClosed) {
        cursor = nextCursor(cursor);
        Object.assign(control, { streamCursor: cursor });
      }
      // In one piece, so that text always arrives with its offset.
      const text = data === "" ? "" : eventOf("data", encode(data));
      write(text + eventOf("control", JSON.stringify(control)));
      sent += length;
    } while (rest !== "" && sent < LARGEST_RESPONSE);
    return sent < LARGEST_RESPONSE && now() < deadline;
  });
  return textResponse(body, {
    "Content-Type": "text/event-stream",
    // Some proxies buffer what may be cached.
    "Cache-Control": "private, no-cache, no-store, no-transform",
    ...(base64 && { [durable.encoding]: "base64" }),
  });
}

/** How much text fits into one event: whole characters, whole line breaks. */
function eventLength(text: string, most: number): number {
  const length = cutLength(text, most);
  const splitsBreak = text[length - 1] === "\r" && text[length] === "\n";
  return splitsBreak ? length - 1 : length;
}

/**
 * One event. Every line of the text is sent as a separate `data:` line, with any kind of
 * line break. So the text can neither end the event early nor start a new one.
 */
function eventOf(name: string, text: string): string {
  const lines = text.split(/\r\n|\r|\n/).map(
    // The first space of a line belongs to the protocol.
    (line) => `data:${line.startsWith(" ") ? " " : ""}${line}\n`,
  );
  return `event: ${name}\n${lines.join("")}\n`;
}

function toBase64(text: string): string {
  return Base64.fromByteArray(new TextEncoder().encode(text));
}

/** Durable Streams counts intervals of 20 s since 9 October 2024. */
const EPOCH = Date.UTC(2024, 9, 9);
const INTERVAL = 20_000;
/** The most that a cursor may be ahead of the clock: an hour. */
const MOST_AHEAD = 180;

/**
 * The cursor of a live response, always greater than the reader's. So the next
 * request has another URL, and no cache can return the same response forever.
 */
function nextCursor(given: string | null): string {
  const now = Math.floor((Date.now() - EPOCH) / INTERVAL);
  const known = /^\d{1,15}$/.test(given ?? "") ? Number(given) : -1;
  if (known < now) return String(now);
  return String(known + 1 + Math.floor(Math.random() * MOST_AHEAD));
}
