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

/** After so long (ms) the response ends. The reader comes again, to whatever serves the stream by then. */
const LONGEST_RESPONSE = 60_000;
/** After so much text (UTF-16 code units) too: as events it is 12 MiB at most, of the 20 MiB that a response may have. */
const LARGEST_RESPONSE = 2 * 1024 * 1024;
/** No event has more text than this (UTF-16 code units): what a cut connection takes along, comes again. */
const LARGEST_EVENT = 64 * 1024;

/** How a stream is sent as events. */
export interface EventOptions {
  streamId: string;
  cursor: string | null;
  /** Whether text comes in base64, exactly as it is. Without, CR LF and CR come as LF. */
  base64: boolean;
}

/**
 * The response that brings a stream as Server-Sent Events: each piece of text
 * in an event `data`, and behind it an event `control` that says where the
 * reader is then.
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
    // A line break may be half here: CR, and LF in the page that follows. In
    // events they are one, so they go together.
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
      // Said once, unless there is text: an offset comes with an event of its own.
      const says = JSON.stringify(control);
      if (data === "" && says === said) break;
      said = says;
      if (!control.streamClosed) {
        cursor = nextCursor(cursor);
        Object.assign(control, { streamCursor: cursor });
      }
      // In one piece, so that what is read has its offset at once.
      const text = data === "" ? "" : eventOf("data", encode(data));
      write(text + eventOf("control", JSON.stringify(control)));
      sent += length;
    } while (rest !== "" && sent < LARGEST_RESPONSE);
    return sent < LARGEST_RESPONSE && now() < deadline;
  });
  return textResponse(body, {
    "Content-Type": "text/event-stream",
    // Some proxies gather what may be cached before they hand it on.
    "Cache-Control": "private, no-cache, no-store, no-transform",
    ...(base64 && { [durable.encoding]: "base64" }),
  });
}

/** How much of a text goes into one event: whole characters, whole line breaks. */
function eventLength(text: string, most: number): number {
  const length = cutLength(text, most);
  const splitsBreak = text[length - 1] === "\r" && text[length] === "\n";
  return splitsBreak ? length - 1 : length;
}

/**
 * One event. Nothing in its text can end a line of it or begin another event:
 * each line of the text, however it was ended, is a line of data.
 */
function eventOf(name: string, text: string): string {
  const lines = text.split(/\r\n|\r|\n/).map(
    // The first blank of a line is taken for the protocol's.
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
/** By how many intervals a cursor is moved on at most where the clock has not moved it: an hour. */
const MOST_AHEAD = 180;

/**
 * The cursor of a live reply, always beyond the one that the reader has: with
 * it the next request has another URL, so no cache can give the same reply for
 * ever.
 */
export function nextCursor(given: string | null): string {
  const now = Math.floor((Date.now() - EPOCH) / INTERVAL);
  const known = /^\d{1,15}$/.test(given ?? "") ? Number(given) : -1;
  if (known < now) return String(now);
  return String(known + 1 + Math.floor(Math.random() * MOST_AHEAD));
}
