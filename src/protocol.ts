/** Header: the offset at which the text of the response starts. */
export const START_OFFSET = "Stream-Offset";

/**
 * All names used for reading a stream over HTTP. They are Durable Streams' own names
 * where it has them.
 */
export const wire = {
  /** Query parameter: the stream. */
  streamId: "streamId",
  /** Query parameter: the offset to start at. */
  offset: "offset",
  /** Query parameter: start this far before the end of the text, instead of at an offset. */
  tail: "tail",
  /** Query parameter: how to wait for text; `long-poll` or absent. */
  live: "live",
  /** Header: the offset at which the text of the response starts. */
  startOffset: START_OFFSET,
  /** Header: the end of the text that was saved when the response began. */
  nextOffset: "Stream-Next-Offset",
  /** Header: `true` if the stream has ended and the response has the rest of its text. */
  closed: "Stream-Closed",
  /** Header: the stream's status when the response began. */
  status: "Stream-Status",
  /** Header: why the stream ended early, as percent-encoded JSON. */
  error: "Stream-Error",
} as const;

/** Names that only Durable Streams uses. */
export const durable = {
  /** Header: `true` if the response has everything saved so far. */
  upToDate: "Stream-Up-To-Date",
  /** Header: a live reader sends it back with its next request. */
  cursor: "Stream-Cursor",
  /** Header: the encoding of text in events, if there is one. */
  encoding: "Stream-SSE-Data-Encoding",
} as const;

/** A URL as a log may show it: without its query, which may hold a secret. */
export function withoutQuery(url: string): string {
  return url.split("?")[0] ?? "";
}

/** Offsets have this many digits, so that they sort correctly as strings. */
const DIGITS = 16;

/** An offset (UTF-16 code units) in the form used over HTTP. */
export function formatOffset(offset: number): string {
  return String(offset).padStart(DIGITS, "0");
}

/** Parses an offset from a request. `-1` is the beginning. Null if it is invalid. */
export function parseOffset(token: string): number | null {
  if (token === "-1") return 0;
  const offset = /^\d{1,16}$/.test(token) ? Number(token) : NaN;
  return isOffset(offset) ? offset : null;
}

/** Whether a number is a valid offset into a text. */
export function isOffset(offset: number): boolean {
  return Number.isSafeInteger(offset) && offset >= 0;
}

/**
 * The part of a piece at offset `start` that is new to a reader with `known` code
 * units of the text. Null if there is a gap between the two.
 */
export function continuation(
  known: number,
  start: number,
  text: string,
): string | null {
  return start > known ? null : text.slice(known - start);
}
