// convex/chat.ts
import { PersistentTextStreaming, vStreamId } from "@convex-dev/persistent-text-streaming";
import { v } from "convex/values";
import { components } from "./_generated/api";
import { internalQuery, mutation, query } from "./_generated/server";

export const streaming = new PersistentTextStreaming(components.persistentTextStreaming);

export const { getStreamBody, abortStream, authorizeStream } = streaming.hookAPI({
  authorize: () => {}, // Lets everyone in. Once you have users, throw if the stream is not theirs.
});

export const list = query((ctx) => ctx.db.query("messages").take(100));

export const send = mutation({
  args: { prompt: v.string() },
  handler: async (ctx, { prompt }) =>
    ctx.db.insert("messages", { prompt, streamId: await streaming.createStream(ctx) }),
});

export const getPrompt = internalQuery({
  args: { streamId: vStreamId },
  handler: async (ctx, { streamId }) => {
    const messages = ctx.db.query("messages");
    const message = await messages
      .withIndex("byStream", (q) => q.eq("streamId", streamId))
      .unique();
    return message?.prompt ?? "";
  },
});
