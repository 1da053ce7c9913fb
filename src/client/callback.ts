/** An app's `onComplete`, as `createStream` is given it and as the component keeps it. */
import {
  createFunctionHandle,
  getFunctionName,
  type FunctionReference,
} from "convex/server";
import type { Value } from "convex/values";
import type { OnCompleteArgs } from "../shared.js";
import { shown } from "./errors.js";
import { storable } from "./outcome.js";

/** The least that an `onComplete` takes. */
type CallbackArgs = Omit<OnCompleteArgs, "streamId" | "context"> & {
  streamId: string;
  context?: unknown;
};

/** What `createStream` may be given. */
export interface CreateStreamOptions {
  /**
   * An internal mutation of the app with `args: vOnCompleteArgs(…)`. It runs
   * once, in the transaction that ends the stream, however that ends. If it
   * throws, its writes are rolled back and the stream ends all the same; it is
   * then run by itself, up to five times within a day. It may read and delete
   * the stream. It must not use `ctx.auth`: the caller is whoever ended the
   * stream, or nobody.
   *
   * A stream that is stopped while its writer is at work may still get up to
   * about a second of text that the writer had appended; `length` is what is
   * saved when the callback runs.
   */
  onComplete?: FunctionReference<"mutation", "internal", CallbackArgs, unknown>;
  /** Handed to `onComplete`: any Convex value, up to 64 KiB. */
  context?: unknown;
}

/** How large (bytes of JSON) a context may be. */
const CONTEXT_LIMIT_BYTES = 64 * 1024;

/** What the component keeps of an `onComplete`. */
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
