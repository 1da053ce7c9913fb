// convex/chat.ts
import {
  PersistentTextStreaming,
  vStreamId,
} from "@convex-dev/persistent-text-streaming";
import { v } from "convex/values";
import { components } from "./_generated/api";
import { internalQuery, mutation, query } from "./_generated/server";

// A UI message stream is lines, so save whole lines.
export const streaming = new PersistentTextStreaming(
  components.persistentTextStreaming,
  { flush: "line" },
);

/** Saves the user's message and returns the id of the stream that will answer it. */
export const send = mutation({
  args: { prompt: v.string() },
  handler: async (ctx, { prompt }) => {
    const streamId = await streaming.createStream(ctx);
    await ctx.db.insert("messages", { prompt, streamId });
    return streamId;
  },
});

export const getPrompt = internalQuery({
  args: { streamId: vStreamId },
  handler: async (ctx, { streamId }) => {
    const message = await ctx.db
      .query("messages")
      .withIndex("byStream", (q) => q.eq("streamId", streamId))
      .unique();
    return message?.prompt ?? null;
  },
});

/** The stream to continue after a reload, or null. */
export const activeStream = query({
  args: {},
  handler: async (ctx) => {
    const last = await ctx.db.query("messages").order("desc").first();
    if (last === null) return null;
    const status = await streaming.getStreamStatus(ctx, last.streamId);
    return status === "pending" || status === "streaming"
      ? last.streamId
      : null;
  },
});

// Anyone may read and stop. See the page on auth before you deploy this.
export const { getStreamBody, abortStream, authorizeStream } =
  streaming.hookAPI({ authorize: async () => {} });
