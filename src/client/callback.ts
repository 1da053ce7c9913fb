/** An app's `onComplete`: what `createStream` takes, and what the component stores. */
import {
  createFunctionHandle,
  getFunctionName,
  type FunctionReference,
} from "convex/server";
import type { Value } from "convex/values";
import type { OnCompleteArgs } from "../shared.js";
import { shown } from "./errors.js";
import { storable } from "./outcome.js";

/** The minimal arguments of an `onComplete`. */
type CallbackArgs = Omit<OnCompleteArgs, "streamId" | "context"> & {
  streamId: string;
  context?: unknown;
};

/** Options of `createStream`. */
export interface CreateStreamOptions {
  /**
   * An internal mutation of the app with `args: vOnCompleteArgs(…)`. It runs exactly
   * once, in the transaction that ends the stream, whatever ends it. If it throws,
   * its writes are rolled back, the stream ends anyway, and it is retried separately,
   * up to five times within a day. It may read and delete the stream. It must not use
   * `ctx.auth`: the caller may be the user who stopped the stream, or no user.
   *
   * After a stop, up to about a second of text that the writer had already appended
   * may still be saved. `length` is what is saved when the callback runs.
   */
  onComplete?: FunctionReference<"mutation", "internal", CallbackArgs, unknown>;
  /** Passed to `onComplete`: any Convex value, up to 64 KiB. */
  context?: unknown;
}

/** The largest context (bytes of JSON). */
const CONTEXT_LIMIT_BYTES = 64 * 1024;

/** What the component stores of an `onComplete`. */
export async function callbackOf(options: CreateStreamOptions) {
  if (typeof options !== "object" || options === null) {
    throw new TypeError(
      `The options of createStream must be an object, such as { onComplete: internal.chat.onReplyEnd }, not ${shown(options)}.`,
    );
  }
  const { onComplete, context } = options;
  if (onComplete === undefined) {
    if (context === undefined) return undefined;
    throw new TypeError(
      "createStream was given a context but no onComplete, which it is for.",
    );
  }
  const name = nameOf(onComplete);
  const stored = context === undefined ? {} : { context: contextOf(context) };
  return { handle: await createFunctionHandle(onComplete), name, ...stored };
}

function nameOf(onComplete: FunctionReference<"mutation", "internal">): string {
  try {
    return getFunctionName(onComplete);
  } catch {
    throw new TypeError(
      `onComplete must be a reference to an internal mutation, such as internal.chat.onReplyEnd; it is ${shown(onComplete)}.`,
    );
  }
}

function contextOf(context: unknown): Value {
  try {
    return storable(context, CONTEXT_LIMIT_BYTES);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new TypeError(
      `The context for onComplete must be a Convex value of at most 64 KiB; it is ${shown(context)}. ${why} Keep large values in a document, and pass its id.`,
      { cause: error },
    );
  }
}
