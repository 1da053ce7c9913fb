// convex/retried.ts
import { ActionRetrier } from "@convex-dev/action-retrier";
import { vStreamId } from "@convex-dev/persistent-text-streaming";
import { v } from "convex/values";
import { components, internal } from "./_generated/api";
import { internalAction, mutation } from "./_generated/server";
import { streaming } from "./chat";
import { continueStory } from "./model";

const retrier = new ActionRetrier(components.actionRetrier);

export const send = mutation({
  args: { prompt: v.string() },
  handler: async (ctx, { prompt }) => {
    const streamId = await streaming.createStream(ctx);
    await ctx.db.insert("messages", { prompt, streamId });
    await retrier.run(ctx, internal.retried.chapter, { streamId });
    return streamId;
  },
});

export const chapter = internalAction({
  args: { streamId: vStreamId },
  handler: async (ctx, { streamId }) => {
    await streaming.generate(
      ctx,
      streamId,
      async function* (_append, signal) {
        // Exact: the attempt before this one can no longer save anything.
        const { text } = await streaming.getStreamBody(ctx, streamId);
        yield* continueStory(text, signal);
      },
      { takeOver: true },
    );
  },
});
