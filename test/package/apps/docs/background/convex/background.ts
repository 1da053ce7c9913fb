// convex/background.ts
import { vStreamId } from "@convex-dev/persistent-text-streaming";
import { v } from "convex/values";
import { internal } from "./_generated/api";
import { internalAction, mutation } from "./_generated/server";
import { streaming } from "./chat";
import { reply } from "./model";

export const send = mutation({
  args: { prompt: v.string() },
  handler: async (ctx, { prompt }) => {
    const streamId = await streaming.createStream(ctx);
    await ctx.db.insert("messages", { prompt, streamId });
    await ctx.scheduler.runAfter(0, internal.background.answer, { streamId });
    return streamId;
  },
});

export const answer = internalAction({
  args: { streamId: vStreamId },
  handler: async (ctx, { streamId }) => {
    const prompt = await ctx.runQuery(internal.chat.getPrompt, { streamId });
    await streaming.generate(ctx, streamId, (_append, signal) =>
      reply(prompt ?? "", signal),
    );
  },
});
