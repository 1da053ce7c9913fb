import { cutLength } from "../shared.js";

/**
 * Where text may be saved without waiting for `maxChars` or `maxDelayMs`:
 *
 * - `"sentence"`: after `.` `!` `?`, `。` `！` `？`, or a line break.
 * - `"line"`: up to the last line break, so that followers see whole lines.
 * - a function: all of the unsaved text, if the function returns true for it. It may
 *   be called after several appends, so look for a boundary anywhere in the text.
 */
export type FlushBoundary =
  "sentence" | "line" | ((buffered: string) => boolean);

/** When text is saved: at a boundary, or when it gets too long or too old. */
export interface FlushOptions {
  /** Default: `"sentence"`. */
  boundary?: FlushBoundary;
  /**
   * Text of this length (UTF-16 code units) is saved without waiting for a boundary.
   * Default: 1000; with `"line"`, `Infinity`.
   */
  maxChars?: number;
  /**
   * Text of this age (ms) is saved without waiting for a boundary. Default:
   * 1000; with `"line"`, `Infinity`.
   */
  maxDelayMs?: number;
  /**
   * The shortest time (ms) between two saves. A longer time means fewer billed saves,
   * and later text for followers. Default: 400, or `maxDelayMs` if that is less.
   */
  minDelayMs?: number;
}

/** Few readers notice, and it takes a third fewer calls than 250. */
const MIN_DELAY_MS = 400;

export type FlushPolicy = Required<FlushOptions>;

/** Fills in the defaults. Throws a `TypeError` for invalid options. */
export function flushPolicy(
  flush: "sentence" | "line" | FlushOptions = {},
): FlushPolicy {
  const given = typeof flush === "string" ? { boundary: flush } : flush;
  if (typeof given !== "object" || given === null) {
    throw new TypeError(
      `flush must be "sentence", "line" or an object with boundary, maxChars and maxDelayMs; it is ${String(given)}.`,
    );
  }
  const { boundary = "sentence" } = given;
  // A pause must not hide half a sentence. But half a line of a protocol is useless,
  // and its readers would have to recognize it.
  const longest = boundary === "line" ? Infinity : 1000;
  const policy: FlushPolicy = {
    boundary,
    maxChars: given.maxChars ?? longest,
    maxDelayMs: given.maxDelayMs ?? longest,
    minDelayMs:
      given.minDelayMs ?? Math.min(MIN_DELAY_MS, given.maxDelayMs ?? longest),
  };
  if (
    boundary !== "sentence" &&
    boundary !== "line" &&
    typeof boundary !== "function"
  ) {
    throw new TypeError(
      `flush: the boundary must be "sentence", "line" or a function of the unsaved text; it is ${JSON.stringify(boundary)}.`,
    );
  }
  for (const name of ["maxChars", "maxDelayMs"] as const) {
    if (typeof policy[name] !== "number" || !(policy[name] > 0)) {
      throw new TypeError(
        `flush: ${name} must be a number greater than 0; it is ${JSON.stringify(policy[name])}.`,
      );
    }
  }
  const { minDelayMs, maxDelayMs } = policy;
  if (!(minDelayMs >= 0 && minDelayMs <= maxDelayMs && minDelayMs < Infinity)) {
    throw new TypeError(
      `flush: minDelayMs must be a number of milliseconds from 0 to maxDelayMs (${maxDelayMs}); it is ${JSON.stringify(minDelayMs)}.`,
    );
  }
  return policy;
}

/**
 * How much of the unsaved text to save now.
 *
 * @param unsaved Text that has been appended but not saved.
 * @param age Milliseconds since its oldest character was appended.
 * @returns A length in UTF-16 code units, 0 to wait. Never splits a surrogate pair.
 */
export function due(unsaved: string, age: number, policy: FlushPolicy): number {
  const all = cutLength(unsaved, unsaved.length);
  if (unsaved.length >= policy.maxChars || age >= policy.maxDelayMs) return all;
  switch (policy.boundary) {
    case "sentence":
      return sentenceEnd.test(unsaved) ? all : 0;
    case "line":
      return unsaved.lastIndexOf("\n") + 1;
    default:
      return policy.boundary(unsaved) ? all : 0;
  }
}

/**
 * Whether there may be a boundary in `text`, which was appended since the last
 * search. So long text is not searched again for every token.
 */
export function mayEnd(text: string, boundary: FlushBoundary): boolean {
  switch (boundary) {
    case "sentence":
      return sentenceEnd.test(text);
    case "line":
      return text.includes("\n");
    default:
      return true;
  }
}

const sentenceEnd = /[.!?。！？\n]/;
