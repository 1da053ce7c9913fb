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
