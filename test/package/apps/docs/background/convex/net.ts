// convex/net.ts
import { vOnCompleteArgs } from "@convex-dev/persistent-text-streaming";
import { v } from "convex/values";
import { internal } from "./_generated/api";
import { internalMutation, mutation } from "./_generated/server";
import { streaming } from "./chat";

export const send = mutation({
  args: { prompt: v.string() },
  handler: async (ctx, { prompt }) => {
    const streamId = await streaming.createStream(ctx, {
      onComplete: internal.net.finished,
    });
    // The page's POST usually comes first. Then this call writes nothing.
    const fallback = await ctx.scheduler.runAfter(
      5_000,
      internal.background.answer,
      { streamId },
    );
    await ctx.db.insert("messages", { prompt, streamId, fallback });
    return streamId;
  },
});

/** A reply that has ended needs no fallback. */
export const finished = internalMutation({
  args: vOnCompleteArgs(),
  handler: async (ctx, { streamId }) => {
    const message = await ctx.db
      .query("messages")
      .withIndex("byStream", (q) => q.eq("streamId", streamId))
      .unique();
    if (!message?.fallback) return;
    const job = await ctx.db.system.get(message.fallback);
    // If it is running, it has just written the reply.
    if (job?.state.kind === "pending") await ctx.scheduler.cancel(job._id);
  },
});
