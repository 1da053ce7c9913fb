/**
 * Validators and errors: everything shared by both sides that needs `convex/values`
 * at run time. Readers over HTTP do not need it.
 */
/* eslint-disable @typescript-eslint/no-explicit-any -- values that the app types itself */
import {
  ConvexError,
  v,
  type OptionalProperty,
  type Validator,
  type VAny,
  type VString,
} from "convex/values";
import type { StreamErrorData, StreamErrorKind, StreamId } from "./shared.js";

/**
 * The validator of stream ids, for schemas, `args` and `returns`. It accepts any
 * string, and its TypeScript type is `StreamId`, so no cast is needed.
 */
export const vStreamId = v.string() as unknown as VString<StreamId>;

/** Version 0.3's validator of stream ids. Its type is `string`. */
export const StreamIdValidator = v.string();

const statusesOf03 = [
  v.literal("pending"),
  v.literal("streaming"),
  v.literal("done"),
  v.literal("error"),
  v.literal("timeout"),
] as const;

/** The validator of a `StreamStatus`: all six. */
export const vStreamStatus = v.union(...statusesOf03, v.literal("aborted"));

/** The validator of a `StreamBody`, for the `returns` of a query that returns one. */
export const vStreamBody = v.object({
  text: v.string(),
  status: v.union(...statusesOf03),
});

/** The validator of a `StreamError`. */
export const vStreamError = v.object({
  kind: v.union(
    v.literal("WriterFailed"),
    v.literal("CannotSave"),
    v.literal("Stopped"),
    v.literal("TimedOut"),
  ),
  message: v.string(),
  data: v.optional(v.any()),
});

/** The validator of a `StreamPage`, for the `returns` of a query that returns one. */
export const vStreamPage = v.object({
  text: v.string(),
  status: vStreamStatus,
  from: v.number(),
  next: v.number(),
  claimed: v.boolean(),
  error: v.optional(vStreamError),
});

/** The validator of a `StreamEnd`. */
export const vStreamEnd = v.union(
  v.literal("done"),
  v.literal("error"),
  v.literal("timeout"),
  v.literal("aborted"),
  v.literal("deleted"),
);

/** The validator of a `StreamInfo`. */
export const vStreamInfo = v.object({
  status: vStreamStatus,
  error: v.optional(vStreamError),
  result: v.optional(v.any()),
  createdAt: v.number(),
  firstTextAt: v.optional(v.number()),
  endedAt: v.optional(v.number()),
  length: v.number(),
});

/**
 * The arguments of an `onComplete`: `{ streamId, status, error?, result?, length,
 * context }`.
 *
 * ```ts
 * export const onReplyDone = internalMutation({
 *   args: vOnCompleteArgs(v.object({ messageId: v.id("messages") })),
 *   handler: async (ctx, { status, context }) => {
 *     await ctx.db.patch(context.messageId, { status });
 *   },
 * });
 * ```
 *
 * @param context The validator of the `context` that is passed to `createStream`.
 *   Default: anything.
 */
export function vOnCompleteArgs<
  Context extends Validator<any, OptionalProperty, any> = VAny<any, "optional">,
>(context?: Context) {
  return v.object({
    streamId: vStreamId,
    status: vStreamEnd,
    error: v.optional(vStreamError),
    result: v.optional(v.any()),
    length: v.number(),
    context: (context ?? v.optional(v.any())) as Context,
  });
}

/** An error contains at most this much of an id. */
const ID_CHARS = 100;

/** An error that an app may want to tell from others. Its data reaches the browser. */
export function streamError<Kind extends StreamErrorKind>(
  kind: Kind,
  streamId: string,
  message: string,
): ConvexError<StreamErrorData<Kind>> {
  // The id may be any string, even half a character, which Convex refuses.
  const id = String(streamId).slice(0, ID_CHARS);
  const error = new ConvexError({
    kind,
    message,
    streamId: id.replace(/\p{Surrogate}/gu, "\ufffd"),
  });
  // By default, it is the data as JSON.
  error.message = message;
  return error;
}
