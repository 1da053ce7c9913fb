import { type StreamPage, isFinal } from "../shared.js";
import { now, pause, retry } from "../time.js";
import { Body } from "./body.js";
import { wire, formatOffset, isOffset, parseOffset } from "../protocol.js";
import { mayBeId } from "./claim.js";
import { shown } from "./errors.js";
import {
  emptyResponse,
  errorResponse,
  notFound,
  textResponse,
} from "./responses.js";

/** What `lib.read` gives. */
export type SavedPage = StreamPage & { upToDate: boolean; draining: boolean };

/** Reads the saved text from an offset on. Null says that there is no such stream. */
export type ReadPage = (from: number) => Promise<SavedPage | null>;

/** How long (ms) between two reads of the database: while text comes, and at most in a pause. */
const SHORTEST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 2000;
/** How much longer each wait is than the one before it while nothing comes. */
const SLOWDOWN = 1.5;
/** How long (ms) one response waits for a draining stream: its writer may be dead, and the client asks again anyway. */
const DRAIN_WAIT_MS = 5000;
/** How often a read that fails is repeated. */
export const ATTEMPTS = 5;

/** Reads the saved text, and again if that fails. */
export function readPage(
  read: ReadPage,
  from: number,
): Promise<SavedPage | null> {
  return retry(ATTEMPTS, () => read(from));
}

/** Whether a page is the last: the stream has ended, and nothing can come after its text. */
export function isLast(page: SavedPage): boolean {
  return isFinal(page.status) && !page.draining;
}

/**
 * A page of a stream and all that is saved after it, each page behind the one
 * before, until the stream has ended or been deleted or the reader has gone. A
 * page may be empty.
 */
export async function* follow(
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
 * A body that brings a page of a stream and what is saved after it, as `send`
 * writes it, until there is no more, `send` returns false, the response is full
 * or the client has gone.
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
  // Not awaited: the response has to be on its way first. It never rejects.
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

/** No response takes longer (ms), well within what an action may take. The client asks again from where it is. */
const LONGEST_RESPONSE_MS = 9 * 60 * 1000;

/** The response that brings the text of a stream from an offset on, to the stream's end. */
export async function resume(
  read: ReadPage,
  request: Request,
  streamId: string,
  given: number | undefined,
): Promise<Response> {
  const from = given ?? requestedOffset(request.url);
  if (from === null || !isOffset(from)) {
    return errorResponse(
      400,
      `An offset is a whole number from 0 on (UTF-16 code units); this one is ${given ?? `in ${shown(request.url)}`}.`,
    );
  }
  const first = mayBeId(streamId) ? await readPage(read, from) : null;
  if (first === null) return notFound(streamId);
  const end = first.from + first.text.length;
  const headers: Record<string, string> = {
    [wire.startOffset]: formatOffset(first.from),
    [wire.nextOffset]: formatOffset(end),
    [wire.status]: first.status,
  };
  if (isLast(first)) {
    headers[wire.closed] = "true";
    if (first.text === "") return emptyResponse(204, headers);
  }
  // Convex's router answers HEAD by what is there for GET.
  if (request.method === "HEAD") return textResponse(null, headers);
  const deadline = now() + LONGEST_RESPONSE_MS;
  const body = sendPages(first, read, request, streamId, (page, write) => {
    write(page.text);
    return now() <= deadline;
  });
  return textResponse(body, headers);
}

/** The offset in a URL: 0 if there is none, null if it cannot be one. */
function requestedOffset(url: string): number | null {
  const tokens = new URL(url).searchParams.getAll(wire.offset);
  const [token = "-1"] = tokens;
  return tokens.length > 1 ? null : parseOffset(token);
}
