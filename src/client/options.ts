/** What the class and its methods take, checked. */
import {
  createFunctionHandle,
  getFunctionName,
  type FunctionReference,
  type GenericActionCtx,
  type GenericDataModel,
} from "convex/server";
import { v, type Value } from "convex/values";
import {
  DEFAULT_TIMEOUT_MS,
  type OnCompleteArgs,
  type StreamBody,
  type StreamStatus,
  vStreamId,
} from "../shared.js";
import { flushPolicy, type FlushOptions, type FlushPolicy } from "./flush.js";
import { shown, storable } from "./values.js";

type ActionCtx = GenericActionCtx<GenericDataModel>;

/** The `ctx` of any query, mutation or action. */
export type RunQueryCtx = Pick<ActionCtx, "runQuery">;

/** The `ctx` of any mutation or action. */
export type RunMutationCtx = Pick<ActionCtx, "runMutation">;

/** The `ctx` of any action. Writers read their stream's status between saves. */
export type RunActionCtx = RunQueryCtx & RunMutationCtx;

/**
 * The functions of version 0.3. Every app's `_generated/api` has them, even if it was
 * generated before this version was installed.
 */
export type StreamingComponent = {
  lib: {
    // eslint-disable-next-line @typescript-eslint/no-empty-object-type -- as codegen writes it
    createStream: FunctionReference<"mutation", "internal", {}, string>;
    addChunk: FunctionReference<
      "mutation",
      "internal",
      { streamId: string; text: string; final: boolean },
      null
    >;
    setStreamStatus: FunctionReference<
      "mutation",
      "internal",
      { streamId: string; status: StreamStatus },
      null
    >;
    getStreamStatus: FunctionReference<
      "query",
      "internal",
      { streamId: string },
      StreamBody["status"]
    >;
    getStreamText: FunctionReference<
      "query",
      "internal",
      { streamId: string },
      StreamBody
    >;
  };
};

/** Options of `PersistentTextStreaming`. */
export interface PersistentTextStreamingOptions {
  /** When appended text is saved. Default: `"sentence"`, with the default limits of `FlushOptions`. */
  flush?: "sentence" | "line" | FlushOptions;
  /**
   * How long (ms) a writer may show no sign of life before its stream ends as
   * `timeout`: from 1,000 to a day. Default: 2 minutes. A live writer sends at least
   * four signs in that time, even if the model is silent. Streams without a writer
   * have 20 minutes.
   */
  timeoutMs?: number;
}

const SECOND_MS = 1000;
const DAY_MS = 24 * 60 * 60 * SECOND_MS;

/** The options, with their defaults. Throws a `TypeError` for invalid ones. */
export function checkOptions(options: PersistentTextStreamingOptions): {
  flush: FlushPolicy;
  timeoutMs: number;
} {
  const given: unknown = options ?? {};
  if (Object(given) !== given) {
    throw new TypeError(
      `The options of PersistentTextStreaming must be an object, such as { flush: "line" }, not ${shown(options)}.`,
    );
  }
  return {
    flush: flushPolicy(options?.flush),
    timeoutMs: checkTimeout(options?.timeoutMs),
  };
}

function checkTimeout(timeoutMs: unknown = DEFAULT_TIMEOUT_MS): number {
  if (
    typeof timeoutMs === "number" &&
    timeoutMs >= SECOND_MS &&
    timeoutMs <= DAY_MS
  ) {
    return timeoutMs;
  }
  throw new TypeError(
    `timeoutMs must be a number of milliseconds from 1,000 to 86,400,000 (a day), not ${shown(timeoutMs)}.`,
  );
}

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

/**
 * The arguments of a query for `useStream(…, { incremental: true })`.
 *
 * ```ts
 * export const getStreamBody = query({
 *   args: streamBodyArgs,
 *   handler: (ctx, { streamId, from, tail }) =>
 *     streaming.getStreamBody(ctx, streamId, { from, tail }),
 * });
 * ```
 */
export const streamBodyArgs = {
  /** The stream to read. */
  streamId: vStreamId,
  /** The offset to read from (UTF-16 code units). Default: read all of the text. */
  from: v.optional(v.number()),
  /** How much of the end of the text to read (UTF-16 code units). Ignored if there is a `from`. */
  tail: v.optional(v.number()),
};

/** A range of the text to read. */
type Range = { from?: number | undefined; tail?: number | undefined };

/** The range to read. Anything that is not options counts as an offset, and is checked as one. */
export function rangeOf(options: number | Range | undefined): Range {
  const isRange = Object.prototype.toString.call(options) === "[object Object]";
  return isRange ? (options as Range) : { from: options as number };
}
