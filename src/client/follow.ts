import type { FunctionReturnType } from "convex/server";
import type { ComponentApi } from "../component/_generated/component.js";
import {
  type StreamError,
  type StreamPage,
  cutLength,
  isFinal,
  streamError,
} from "../shared.js";
import { now, pause, retry } from "../time.js";
import { wire, formatOffset, isOffset, parseOffset } from "../protocol.js";
import type { RunQueryCtx } from "./options.js";
import { mayBeId, shown } from "./values.js";
import {
  emptyResponse,
  errorResponse,
  notFound,
  textResponse,
  Body,
} from "./responses.js";

/** The result of `lib.read`. */
export type SavedPage = StreamPage & { upToDate: boolean; draining: boolean };

/** Reads the saved text, starting at an offset. Null if there is no such stream. */
export type ReadPage = (from: number) => Promise<SavedPage | null>;

/** How long (ms) to wait between two reads of the database: while text arrives, and at most. */
const SHORTEST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 2000;
/** Without news, each wait is longer than the last by this factor. */
const SLOWDOWN = 1.5;
/**
 * How long (ms) one response waits for a draining stream. Its writer may be dead, and
 * the client asks again anyway.
 */
const DRAIN_WAIT_MS = 5000;
/** How many times a read is attempted. */
export const ATTEMPTS = 5;

/** Reads the saved text, with retries. */
export function readPage(
  read: ReadPage,
  from: number,
): Promise<SavedPage | null> {
  return retry(ATTEMPTS, () => read(from));
}

/** Whether a page is the last: the stream has ended, and no text can follow. */
export function isLast(page: SavedPage): boolean {
  return isFinal(page.status) && !page.draining;
}

/**
 * Yields a page of a stream and everything saved after it, page by page, until the
 * stream ends or is deleted, or the reader leaves. Pages may be empty.
 */
async function* follow(
  first: SavedPage,
  read: ReadPage,
  gone: AbortSignal,
): AsyncGenerator<SavedPage> {
  let page: SavedPage | null = first;
  let wait = SHORTEST_WAIT_MS;
  let endedAt: number | null = null;
  while (page !== null && !gone.aborted) {
    yield page;
    if (isLast(page)) return;
    if (isFinal(page.status)) {
      endedAt ??= now();
      if (now() - endedAt > DRAIN_WAIT_MS) return;
    }
    const end: number = page.from + page.text.length;
    if (page.upToDate) {
      wait =
        page.text === ""
          ? Math.min(LONGEST_WAIT_MS, SLOWDOWN * wait)
          : SHORTEST_WAIT_MS;
      await pause(wait, gone);
    }
    if (!gone.aborted) page = await readPage(read, end);
  }
}

/**
 * A body with a page of a stream and everything saved after it, as `send` writes it.
 * Ends when there is no more, `send` returns false, the response is full, or the
 * client leaves.
 */
export function sendPages(
  first: SavedPage,
  read: ReadPage,
  request: Request,
  streamId: string,
  send: (page: SavedPage, write: (text: string) => void) => boolean,
): Body {
  const gone = new AbortController();
  const leave = () => gone.abort();
  request.signal.addEventListener("abort", leave);
  if (request.signal.aborted) leave();
  const body = new Body({ onCancel: leave });
  const write = (text: string) => body.write(text);
  // Not awaited, because the response must be returned first. It never rejects.
  void (async () => {
    try {
      for await (const page of follow(first, read, gone.signal)) {
        if (!send(page, write) || body.full) break;
      }
    } catch (error) {
      console.error(
        `Stream ${streamId} could not be followed to its end:`,
        error,
      );
    }
    body.close();
    request.signal.removeEventListener("abort", leave);
  })();
  return body;
}

/**
 * No response takes longer than this (ms), well below an action's limit. The client
 * asks again from its position.
 */
const LONGEST_RESPONSE_MS = 9 * 60 * 1000;

/** How long (ms) a long-poll waits for text. */
const LONG_POLL_WAIT_MS = 20_000;

/** The reads of a stream. Null means that there is no such stream. */
export interface SavedStream {
  read: ReadPage;
  /** This many code units of its end, as a page. */
  readEnd: ReadPage;
  /** Where the saved text ends, from `lib.tail`. */
  tail: () => Promise<Tail | null>;
}
type Tail = Awaited<FunctionReturnType<ComponentApi["lib"]["tail"]>> & {};

/** Reads one stream of the component with the `ctx` of an action. */
export function savedStream(
  lib: ComponentApi["lib"],
  ctx: RunQueryCtx,
  streamId: string,
): SavedStream {
  return {
    read: (from) => ctx.runQuery(lib.read, { streamId, from }),
    readEnd: (tail) => ctx.runQuery(lib.read, { streamId, tail }),
    tail: () => ctx.runQuery(lib.tail, { streamId }),
  };
}

/** Where to start: at an offset, or this many code units before the end of the saved text. */
export type Start = { from: number } | { tail: number };

/** The first page, or null if there is no such stream. */
async function firstPage(
  stream: SavedStream,
  start: Start,
): Promise<SavedPage | null> {
  return "from" in start
    ? readPage(stream.read, start.from)
    : readPage(stream.readEnd, start.tail);
}

/**
 * The first page with news: text, or the end. If there is none while the reader
 * waits, the last page. Null if the stream is deleted.
 */
export async function news(
  first: SavedPage,
  read: ReadPage,
  gone: AbortSignal,
): Promise<SavedPage | null> {
  const deadline = now() + LONG_POLL_WAIT_MS;
  let page = first;
  for await (page of follow(first, read, gone)) {
    const isNews = page.text !== "" || isLast(page);
    // There is a page at least every two seconds.
    if (isNews || now() >= deadline) return page;
  }
  return gone.aborted || isFinal(page.status) ? page : null;
}

/** The text of a stream for `streaming.follow()`. */
export async function* followText(
  stream: SavedStream,
  streamId: string,
  start: Start,
): AsyncGenerator<string, void> {
  const missing = () =>
    streamError(
      "StreamNotFound",
      streamId,
      `There is no stream ${shown(streamId)}. It may have been deleted.`,
    );
  if (!mayBeId(streamId)) throw missing();
  const first = await firstPage(stream, start);
  if (first === null) throw missing();
  let last = first;
  // A reader leaves between two pages, so nothing has to be told.
  const { signal } = new AbortController();
  for await (const page of follow(first, stream.read, signal)) {
    last = page;
    if (page.text !== "") yield page.text;
  }
  // It did not end, so it must have been deleted.
  if (!isFinal(last.status)) throw missing();
}

/** The response with the text of a stream, from the reader's position to the end. */
export async function resume(
  stream: SavedStream,
  request: Request,
  streamId: string,
  given: { from?: number | undefined; tail?: number | undefined },
): Promise<Response> {
  const asked = startOf(request.url, given);
  if (typeof asked === "string") return errorResponse(400, asked);
  const { start, live } = asked;
  let page = mayBeId(streamId) ? await firstPage(stream, start) : null;
  if (page !== null && live && request.method !== "HEAD") {
    page = await news(page, stream.read, request.signal);
  }
  if (page === null) return notFound(streamId);
  const headers: Record<string, string> = {
    [wire.startOffset]: formatOffset(page.from),
    [wire.nextOffset]: formatOffset(page.from + page.text.length),
    [wire.status]: page.status,
    ...(page.error && { [wire.error]: formatError(page.error) }),
  };
  if (isLast(page)) {
    headers[wire.closed] = "true";
    if (page.text === "") return emptyResponse(204, headers);
  }
  // Convex's router answers HEAD with the GET handler.
  if (request.method === "HEAD") return textResponse(null, headers);
  if (live) return textResponse(page.text, headers);
  const deadline = now() + LONGEST_RESPONSE_MS;
  const body = sendPages(
    page,
    stream.read,
    request,
    streamId,
    ({ text }, write) => {
      write(text);
      return now() <= deadline;
    },
  );
  return textResponse(body, headers);
}

/** Many servers refuse headers of more than about 8 KB. */
const LONGEST_ERROR = 4096;

/** An error as a header: ASCII, and not too long. */
function formatError(error: StreamError): string {
  const { kind, message } = error;
  const data: unknown = error.data;
  const whole = encodeURIComponent(JSON.stringify({ kind, message, data }));
  if (whole.length <= LONGEST_ERROR) return whole;
  // A code unit takes at most 9 bytes here.
  const short = { kind, message: message.slice(0, cutLength(message, 400)) };
  return encodeURIComponent(JSON.stringify(short));
}

/**
 * Reads from the URL and the app's options where to start, and whether to wait for text.
 * Returns an error message if they are invalid.
 */
function startOf(
  url: string,
  given: { from?: number | undefined; tail?: number | undefined },
): { start: Start; live: boolean } | string {
  const { searchParams } = new URL(url);
  const live = searchParams.get(wire.live);
  if (live !== null && live !== "long-poll") {
    return `The parameter live must be "long-poll" or left out, not ${shown(live)}.`;
  }
  const wanted = { live: live !== null };
  const isGiven = given.from !== undefined || given.tail !== undefined;
  const inUrl = (name: string) => (isGiven ? [] : searchParams.getAll(name));
  const offsets = inUrl(wire.offset);
  const tails = inUrl(wire.tail);
  if (
    offsets.length + tails.length > 1 ||
    (given.from !== undefined && given.tail !== undefined)
  ) {
    return "Reading starts at one offset, a whole number of 0 or more (UTF-16 code units), or at one tail. The request has more than one of them.";
  }
  const tail = given.tail ?? (tails[0] === undefined ? null : digits(tails[0]));
  if (given.tail !== undefined || tails.length > 0) {
    return tail !== null && isOffset(tail)
      ? { start: { tail }, ...wanted }
      : `A tail must be a whole number of 0 or more: how much of the end of the text to start with (UTF-16 code units). The request has ${given.tail ?? shown(url)}.`;
  }
  const from = given.from ?? parseOffset(offsets[0] ?? "-1");
  return from !== null && isOffset(from)
    ? { start: { from }, ...wanted }
    : `An offset must be a whole number of 0 or more (UTF-16 code units). The request has ${given.from ?? shown(url)}.`;
}

function digits(token: string): number | null {
  return token.startsWith("-") ? null : parseOffset(token);
}
