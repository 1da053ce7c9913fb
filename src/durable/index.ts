import type { PersistentTextStreaming, StreamId } from "../client/index.js";
import { mayBeId, type RunQueryCtx } from "../client/claim.js";
import { shown } from "../client/errors.js";
import {
  ATTEMPTS,
  isLast,
  news,
  readPage,
  savedStream,
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
import { isFinal, type StreamStatus } from "../shared.js";
import { retry } from "../time.js";
import { nextCursor, sendEvents } from "./events.js";

/** Where a reader is, which is what the headers of every reply say. */
interface Position {
  next: number;
  upToDate: boolean;
  closed: boolean;
  status: StreamStatus;
}

/** What a URL asks for. */
interface Query {
  from: number | "now";
  live: "long-poll" | "sse" | null;
  cursor: string | null;
}

/**
 * Answers an HTTP request as the Durable Streams protocol says
 * (https://github.com/durable-streams/durable-streams), for clients that speak
 * it: GET for what is saved from an `offset` on, with `live=long-poll` or
 * `live=sse` for what follows too, and HEAD for where it ends. Writing stays with
 * `stream` and `generate`. Each stream has a URL of its own:
 *
 * ```ts
 * const read = httpAction((ctx, request) => {
 *   const streamId = new URL(request.url).pathname.split("/").at(-1);
 *   return serveDurableStream(streaming, ctx, request, streamId as StreamId);
 * });
 * http.route({ pathPrefix: "/streams/", method: "GET", handler: read });
 * ```
 *
 * A live reader costs an action call for each long-poll, which is one for each
 * save while text comes and three a minute while it does not, or one a minute
 * with `sse`; and reads the database as often as `resume` does.
 *
 * @param streaming The app's `PersistentTextStreaming`.
 * @param options.contentType What the text is. Default:
 *   `text/plain; charset=utf-8`. With a type other than `text/…`, such as
 *   `application/x-ndjson`, events carry it in base64, so exactly as it is; with
 *   `text/…` a CR LF or CR comes as LF in events, which can do no other.
 * @returns A response whose headers may be changed. `Stream-Closed` says that
 *   the stream has ended, `Stream-Status` how; 404, 400 and 405 come with
 *   `{ "error": … }`.
 * @throws TypeError for the content types `application/json` and
 *   `text/event-stream`, which mean more than text in the protocol.
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

/** What every reply says, errors included: who may embed it, and which headers a page may see. */
const everyReply = {
  // Pages of other origins get the text as CORS allows, which the app decides;
  // this is about those that would embed it without asking.
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
      `A stream is read here, with GET or HEAD; nothing is done at ${method}.`,
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
        // Events carry lines, however they were ended. What is not said to be
        // text comes as it is.
        base64: !/^text\//i.test(contentType),
      });
  }
}

/** One page of what is saved by now. */
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
    // The reader's own cache may keep it, and has to ask each time: whoever
    // asks is authorized again, and gets a 304 if nothing has changed.
    "Cache-Control": "private, no-cache",
  };
  if (names(request.headers.get("If-None-Match"), tag)) {
    return emptyResponse(304, headers);
  }
  return textResponse(page.text, { "Content-Type": contentType, ...headers });
}

/** What a URL asks for, or what is wrong with it. */
function queryOf(url: string): Query | string {
  const { searchParams } = new URL(url);
  const live = searchParams.get("live");
  if (live !== null && live !== "long-poll" && live !== "sse") {
    return `The parameter live must be "long-poll", "sse" or left out, not ${shown(live)}.`;
  }
  const tokens = searchParams.getAll(wire.offset);
  if (live !== null && tokens.length === 0) {
    return `With live=${live} the parameter offset has to say where to begin: -1 for the beginning, "now", or a Stream-Next-Offset.`;
  }
  const [token = "-1"] = tokens;
  const from = token === "now" ? token : parseOffset(token);
  if (from === null || tokens.length > 1) {
    return `The parameter offset is one Stream-Next-Offset, -1 or "now"; what came is ${shown(tokens.join(", "))}.`;
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

/** Names the reply: a page of the stream, and what is said of it, which is news too. */
function tagOf(streamId: string, page: SavedPage): string {
  const { next, upToDate, closed, status } = positionOf(page);
  const state = closed ? "closed" : upToDate ? "open" : "more";
  return `"${[streamId, page.from, next, state, status].join(":")}"`;
}

/** Whether an `If-None-Match` names this tag. One made weak by a proxy, which compresses, still does. */
function names(header: string | null, tag: string): boolean {
  return (header ?? "")
    .split(",")
    .map((item) => item.trim().replace(/^W\//, ""))
    .some((item) => item === tag || item === "*");
}
