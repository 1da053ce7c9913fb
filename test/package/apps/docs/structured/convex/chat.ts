// convex/chat.ts
import {
  PersistentTextStreaming,
  vStreamId,
} from "@convex-dev/persistent-text-streaming";
import { v } from "convex/values";
import { components } from "./_generated/api";
import { internalQuery, mutation } from "./_generated/server";

// Saves whole lines only, so no reader ever sees half of one in the database.
export const streaming = new PersistentTextStreaming(
  components.persistentTextStreaming,
  { flush: "line" },
);

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

// Anyone may read and stop. See the page on auth before you deploy this.
export const { getStreamBody, abortStream, authorizeStream } =
  streaming.hookAPI({ authorize: async () => {} });
