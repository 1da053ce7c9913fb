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
