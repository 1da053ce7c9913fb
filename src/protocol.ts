/**
 * Every name on the wire where a stream is read over HTTP. What Durable Streams
 * has a name for is called by that name.
 */
export const wire = {
  /** The query parameter that says which stream. */
  streamId: "streamId",
  /** The query parameter that says where to begin. */
  offset: "offset",
  /** The query parameter that says how much of the end of the text to begin with, in place of an offset. */
  tail: "tail",
  /** The query parameter that says how to wait for text: `long-poll`, or left out. */
  live: "live",
  /** Header: the offset at which the text of the response starts. */
  startOffset: "Stream-Offset",
  /** Header: the offset behind the text that was saved when the response began. */
  nextOffset: "Stream-Next-Offset",
  /** Header: `true` if the stream has ended and the response brings the rest of it. */
  closed: "Stream-Closed",
  /** Header: the stream's status when the response began. */
  status: "Stream-Status",
  /** Header: why the stream ended before its text was complete, as percent-encoded JSON. */
  error: "Stream-Error",
} as const;

/** What only Durable Streams has names for. */
export const durable = {
  /** Header: `true` if the response brings all that is saved by now. */
  upToDate: "Stream-Up-To-Date",
  /** Header: what a live reader hands back with its next request. */
  cursor: "Stream-Cursor",
  /** Header: how the text is encoded in events, if it is. */
  encoding: "Stream-SSE-Data-Encoding",
} as const;

/** What a log may say of a URL: there may be a secret in its query. */
export function withoutQuery(url: string): string {
  return url.split("?")[0] ?? "";
}

/** Offsets have this many digits, so that they sort as strings do. */
const DIGITS = 16;

/** An offset (UTF-16 code units) as it is written on the wire. */
export function formatOffset(offset: number): string {
  return String(offset).padStart(DIGITS, "0");
}

/** An offset as it came over the wire; `-1` is the beginning. Null for what is none. */
export function parseOffset(token: string): number | null {
  if (token === "-1") return 0;
  const offset = /^\d{1,16}$/.test(token) ? Number(token) : NaN;
  return isOffset(offset) ? offset : null;
}

/** Whether a number can be an offset into a text. */
export function isOffset(offset: number): boolean {
  return Number.isSafeInteger(offset) && offset >= 0;
}

/**
 * What is new to a reader who has `known` code units of a text in a piece of it
 * that starts at offset `start`. Null if there is a gap between the two.
 */
export function continuation(
  known: number,
  start: number,
  text: string,
): string | null {
  return start > known ? null : text.slice(known - start);
}
