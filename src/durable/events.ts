import { Base64 } from "convex/values";
import { formatOffset, durable } from "../protocol.js";
import { cutLength } from "../shared.js";
import { now } from "../time.js";
import {
  isLast,
  type ReadPage,
  type SavedPage,
  sendPages,
} from "../client/follow.js";
import { textResponse } from "../client/responses.js";

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
export interface EventOptions {
  streamId: string;
  cursor: string | null;
  /** Whether text is sent as base64, unchanged. Otherwise CR LF and CR become LF. */
  base64: boolean;
}

/**
 * The response with a stream as server-sent events: each piece of text in a `data`
 * event, followed by a `control` event with the reader's position.
 */
export function sendEvents(
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
export function nextCursor(given: string | null): string {
  const now = Math.floor((Date.now() - EPOCH) / INTERVAL);
  const known = /^\d{1,15}$/.test(given ?? "") ? Number(given) : -1;
  if (known < now) return String(now);
  return String(known + 1 + Math.floor(Math.random() * MOST_AHEAD));
}
