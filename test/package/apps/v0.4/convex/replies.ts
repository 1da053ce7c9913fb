/**
 * Functions that name one another, without a type written down. If the type of
 * `createStream` depended on its arguments, all of `_generated/api` would be
 * circular (TS7022).
 */
import {
  PersistentTextStreaming,
  streamBodyArgs,
  vOnCompleteArgs,
  vStreamId,
  type FlushBoundary,
  type FlushOptions,
  type PersistentTextStreamingOptions,
  type StreamWriter,
} from "@convex-dev/persistent-text-streaming";
import { v } from "convex/values";
import { components, internal } from "./_generated/api.js";
import {
  httpAction,
  internalAction,
  internalMutation,
  internalQuery,
  mutation,
  query,
  type ActionCtx,
} from "./_generated/server.js";

const boundary: FlushBoundary = (buffered) => buffered.endsWith("\n\n");
const flush: FlushOptions = { boundary, maxChars: 500, maxDelayMs: 300 };
const options: PersistentTextStreamingOptions = { flush };
const { persistentTextStreaming } = components;
export const streaming = new PersistentTextStreaming(
  persistentTextStreaming,
  options,
);

export const send = mutation({
  args: { prompt: v.string() },
  returns: vStreamId,
  handler: async (ctx, { prompt }) => {
    const streamId = await streaming.createStream(ctx, {
      onComplete: internal.replies.onEnd,
      context: { prompt },
    });
    const job = internal.replies.answer;
    await ctx.scheduler.runAfter(5000, job, { streamId });
    await ctx.db.insert("chats", { prompt, stream: streamId });
    return streamId;
  },
});

export const onEnd = internalMutation({
  args: vOnCompleteArgs(v.object({ prompt: v.string() })),
  handler: async (ctx, { streamId, status, context }) => {
    const { text } = await streaming.getStreamBody(ctx, streamId);
    return `${status} ${context.prompt} ${text}`;
  },
});

export const answer = internalAction({
  args: { streamId: vStreamId },
  handler: async (ctx, { streamId }) => {
    const isMine = await streaming.generate(
      ctx,
      streamId,
      async function* (_append, signal) {
        yield await ctx.runQuery(internal.replies.prompt, { streamId });
        yield* tokens(signal);
      },
    );
    return isMine;
  },
});

export const prompt = internalQuery({
  args: { streamId: vStreamId },
  handler: async (ctx, { streamId }) => {
    const chats = await ctx.db.query("chats").collect();
    return chats.find((chat) => chat.stream === streamId)?.prompt ?? "";
  },
});

export const getPage = query({
  args: streamBodyArgs,
  handler: (ctx, { streamId, from }) =>
    streaming.getStreamBody(ctx, streamId, from),
});

async function* tokens(signal: AbortSignal): AsyncGenerator<string> {
  for (const token of ["Hi ", "there!"]) {
    if (signal.aborted) return;
    yield await Promise.resolve(token);
  }
}

const generator: StreamWriter<ActionCtx> = async function* (
  ctx,
  _request,
  streamId,
  append,
  signal,
) {
  const { lib } = persistentTextStreaming;
  await append(await ctx.runQuery(lib.getStreamStatus, { streamId }));
  yield* tokens(signal);
};
export const write = httpAction(async (ctx, request) => {
  const streamId = await streaming.createStream(ctx);
  return streaming.stream(ctx, request, streamId, generator);
});
