// convex/chat.ts
import {
  PersistentTextStreaming,
  vOnCompleteArgs,
  vStreamId,
  type StreamId,
} from "@convex-dev/persistent-text-streaming";
import { v } from "convex/values";
import { components, internal } from "./_generated/api";
import {
  internalMutation,
  internalQuery,
  mutation,
  type QueryCtx,
} from "./_generated/server";

export const streaming = new PersistentTextStreaming(
  components.persistentTextStreaming,
);

const DAY_MS = 24 * 60 * 60 * 1000;

export const send = mutation({
  args: { prompt: v.string() },
  handler: async (ctx, { prompt }) => {
    const streamId = await streaming.createStream(ctx, {
      onComplete: internal.chat.finished,
      context: { keepDays: 30 },
    });
    await ctx.db.insert("messages", { prompt, streamId, writing: true });
    return streamId;
  },
});

/** Runs in the transaction that ends the stream, however it ends. */
export const finished = internalMutation({
  args: vOnCompleteArgs(v.object({ keepDays: v.number() })),
  handler: async (ctx, { streamId, result, context }) => {
    const message = await messageOf(ctx, streamId);
    if (message === null) return;
    const tokens = (result as { tokens?: number } | undefined)?.tokens;
    await ctx.db.patch(message._id, { writing: false, tokens });
    await ctx.scheduler.runAfter(
      context.keepDays * DAY_MS,
      internal.chat.forget,
      { streamId },
    );
  },
});

export const forget = internalMutation({
  args: { streamId: vStreamId },
  handler: async (ctx, { streamId }) => {
    const message = await messageOf(ctx, streamId);
    if (message === null) return;
    await ctx.db.delete(message._id);
    await streaming.deleteStream(ctx, streamId);
  },
});

async function messageOf(ctx: QueryCtx, streamId: StreamId) {
  return await ctx.db
    .query("messages")
    .withIndex("byStream", (q) => q.eq("streamId", streamId))
    .unique();
}

export const getPrompt = internalQuery({
  args: { streamId: vStreamId },
  handler: async (ctx, { streamId }) =>
    (await messageOf(ctx, streamId))?.prompt ?? null,
});

// Anyone may read and stop. See the page on auth before you deploy this.
export const { getStreamBody, abortStream, authorizeStream } =
  streaming.hookAPI({ authorize: async () => {} });
