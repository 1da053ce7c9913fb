import { vOnCompleteArgs } from "@convex-dev/persistent-text-streaming";
import { v } from "convex/values";
import { internal } from "./_generated/api";
import { internalMutation, mutation, query } from "./_generated/server";
import { kindOf, messageOfStream, ownConversation, viewer } from "./access";
import { deleteMessageAndReplies } from "./messages";

/** The caller's conversations, the latest first. */
export const list = query({
  args: {},
  returns: v.array(
    v.object({
      _id: v.id("conversations"),
      title: v.string(),
      kind: v.union(v.literal("chat"), v.literal("assistant")),
      /** Whether a reply is being written in it. */
      writing: v.boolean(),
    }),
  ),
  handler: async (ctx) => {
    const owner = await viewer(ctx);
    const conversations = await ctx.db
      .query("conversations")
      .withIndex("byOwner", (q) => q.eq("owner", owner))
      .order("desc")
      .take(100);
    return conversations.map((conversation) => ({
      _id: conversation._id,
      title: conversation.title,
      kind: kindOf(conversation),
      writing: (conversation.writing ?? 0) > 0,
    }));
  },
});

/**
 * Runs in the transaction that ends a reply, whatever ends it. So the count of
 * replies being written is always right, and a fallback that is no longer needed
 * costs no call.
 */
export const onReplyEnd = internalMutation({
  args: vOnCompleteArgs(v.object({ conversationId: v.id("conversations") })),
  handler: async (ctx, { streamId, context: { conversationId } }) => {
    const message = await messageOfStream(ctx, streamId);
    const job =
      message?.job &&
      (await ctx.db.system.get("_scheduled_functions", message.job));
    // If it is running, it has just written the reply.
    if (job?.state.kind === "pending") await ctx.scheduler.cancel(job._id);
    const conversation = await ctx.db.get("conversations", conversationId);
    if (conversation === null) return;
    const writing = Math.max(0, (conversation.writing ?? 0) - 1);
    await ctx.db.patch("conversations", conversationId, { writing });
  },
});

/** Deletes a conversation, its messages and their streams. */
export const remove = mutation({
  args: { conversationId: v.string() },
  returns: v.null(),
  handler: async (ctx, args) => {
    const conversation = await ownConversation(ctx, args.conversationId);
    // Deleting it again is not an error: two windows may do it at once.
    if (conversation === null) return null;
    await ctx.db.delete("conversations", conversation._id);
    await ctx.scheduler.runAfter(0, internal.conversations.removeMessages, {
      conversationId: conversation._id,
    });
    return null;
  },
});

/** In batches, so that a long conversation stays within a mutation's limits. */
export const removeMessages = internalMutation({
  args: { conversationId: v.id("conversations") },
  returns: v.null(),
  handler: async (ctx, args) => {
    const batch = await ctx.db
      .query("userMessages")
      .withIndex("byConversation", (q) =>
        q.eq("conversationId", args.conversationId),
      )
      .take(10);
    for (const message of batch) await deleteMessageAndReplies(ctx, message);
    if (batch.length > 0) {
      await ctx.scheduler.runAfter(
        0,
        internal.conversations.removeMessages,
        args,
      );
    }
    return null;
  },
});
