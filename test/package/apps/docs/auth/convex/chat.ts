// convex/chat.ts
import {
  PersistentTextStreaming,
  vStreamId,
  type StreamId,
} from "@convex-dev/persistent-text-streaming";
import type { Auth } from "convex/server";
import { ConvexError, v } from "convex/values";
import { components } from "./_generated/api";
import { internalQuery, mutation, type QueryCtx } from "./_generated/server";

export const streaming = new PersistentTextStreaming(
  components.persistentTextStreaming,
);

async function viewer(ctx: { auth: Auth }): Promise<string> {
  const identity = await ctx.auth.getUserIdentity();
  if (identity === null) throw new ConvexError("Sign in first.");
  return identity.tokenIdentifier;
}

async function messageOf(ctx: QueryCtx, streamId: StreamId) {
  return await ctx.db
    .query("messages")
    .withIndex("byStream", (q) => q.eq("streamId", streamId))
    .unique();
}

/** The owner of a message may read, write and stop its reply. Nobody else may. */
export const { getStreamBody, abortStream, authorizeStream } =
  streaming.hookAPI({
    authorize: async (ctx: QueryCtx, { streamId }) => {
      const message = await messageOf(ctx, streamId);
      if (message?.owner !== (await viewer(ctx))) {
        throw new ConvexError("This reply does not exist, or is not yours.");
      }
    },
  });

export const send = mutation({
  args: { prompt: v.string() },
  handler: async (ctx, { prompt }) => {
    const owner = await viewer(ctx);
    const streamId = await streaming.createStream(ctx);
    await ctx.db.insert("messages", { owner, prompt, streamId });
    return streamId;
  },
});

/** For the writer. It finds the user by the stream, not by who is asking. */
export const getPrompt = internalQuery({
  args: { streamId: vStreamId },
  handler: async (ctx, { streamId }) => {
    const message = await messageOf(ctx, streamId);
    return message?.prompt ?? null;
  },
});
