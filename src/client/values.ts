/**
 * Values that come from the app: how errors describe them, and how a writer's result,
 * or the reason it failed, is stored.
 */
import { convexToJson, jsonToConvex, type Value } from "convex/values";
import type { StreamError } from "../shared.js";

/** The largest result or error data (bytes of JSON). */
const OUTCOME_LIMIT_BYTES = 4 * 1024;

export const cannotSave: StreamError = {
  kind: "CannotSave",
  message: "The text could not be saved.",
};

/**
 * A value as Convex stores it, without fields that are `undefined`.
 *
 * @throws Error if Convex cannot store it, or it is too large. The message continues
 *   a sentence about "It".
 */
export function storable(value: unknown, limitBytes: number): Value {
  const json = convexToJson(value as Value);
  const text = JSON.stringify(json);
  // JSON escapes half a pair, and a backslash as two.
  if (/(?<!\\)(?:\\\\)*\\ud[89a-f]/.test(text)) {
    throw new Error("It has half a surrogate pair in a string.");
  }
  const bytes = new TextEncoder().encode(text).length;
  if (bytes > limitBytes) {
    throw new Error(
      `It has ${bytes} bytes of JSON; the limit is ${limitBytes / 1024} KiB.`,
    );
  }
  return jsonToConvex(json);
}

/**
 * The result in a writer's return value, which must be an object. A result that
 * cannot be stored is left out and logged, and never costs the text.
 */
export function resultOf(
  streamId: string,
  returned: unknown,
): Value | undefined {
  if (typeof returned !== "object" || returned === null) return undefined;
  if (Symbol.iterator in returned || Symbol.asyncIterator in returned) {
    return undefined;
  }
  try {
    return storable(returned, OUTCOME_LIMIT_BYTES);
  } catch (error) {
    console.error(
      `The writer of stream ${streamId} returned ${shown(returned)}, which cannot be saved as the stream's result. Return a small object of Convex values, such as { usage, finishReason }.`,
      error,
    );
    return undefined;
  }
}

/**
 * Why a writer failed: in the app's own words, if it threw a `ConvexError`. Other
 * errors only go to the log.
 */
export function reasonOf(streamId: string, thrown: unknown): StreamError {
  const generic: StreamError = {
    kind: "WriterFailed",
    message: "The writer failed.",
  };
  if (!isConvexError(thrown)) return generic;
  try {
    const data = storable(thrown.data, OUTCOME_LIMIT_BYTES);
    return { ...generic, message: messageOf(data) ?? generic.message, data };
  } catch (error) {
    console.error(
      `The writer of stream ${streamId} threw a ConvexError whose data cannot be saved, so readers get a general message.`,
      error,
    );
    return generic;
  }
}

/**
 * Whether this can be the id of a stream. It often comes straight from a request,
 * where it may be missing or contain half a character, which Convex rejects as an
 * argument.
 */
export function mayBeId(streamId: unknown): streamId is string {
  return typeof streamId === "string" && !/\p{Surrogate}/u.test(streamId);
}

/** Errors quote at most this much of a string. */
const LONGEST = 100;

/** Describes a value in an error: what it is, and the beginning if it is long. */
export function shown(value: unknown): string {
  switch (typeof value) {
    case "string":
      return value.length <= LONGEST
        ? JSON.stringify(value)
        : `${JSON.stringify(value.slice(0, LONGEST))}… (${value.length} characters)`;
    case "object": {
      if (value === null) return "null";
      // A reference, such as internal.chat, has every field.
      const name: unknown = value.constructor?.name;
      return `an object (${typeof name === "string" ? name : "without a class"})`;
    }
    case "function":
      return "a function";
    default:
      return String(value);
  }
}

/** Checks the mark, not the class: an app may have two copies of `convex`. */
export function isConvexError(thrown: unknown): thrown is { data: unknown } {
  return Symbol.for("ConvexError") in (Object(thrown) as object);
}

/** The message for the user in a `ConvexError`'s data: the data itself, or the message in it. */
export function messageOf(data: unknown): string | undefined {
  if (typeof data === "string") return data;
  const { message } = Object(data) as { message?: unknown };
  return typeof message === "string" ? message : undefined;
}
