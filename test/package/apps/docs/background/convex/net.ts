// convex/net.ts
import { v } from "convex/values";
import { internal } from "./_generated/api";
import { mutation } from "./_generated/server";
import { streaming } from "./chat";

export const send = mutation({
  args: { prompt: v.string() },
  handler: async (ctx, { prompt }) => {
    const streamId = await streaming.createStream(ctx);
    await ctx.db.insert("messages", { prompt, streamId });
    // The page's POST usually comes first. Then this call writes nothing.
    await ctx.scheduler.runAfter(5_000, internal.background.answer, {
      streamId,
    });
    return streamId;
  },
});
