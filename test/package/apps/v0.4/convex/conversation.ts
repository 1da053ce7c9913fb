/**
 * Functions that name one another, without a type written down. If the type of
 * `createStream` depended on its arguments, all of `_generated/api` would be
 * circular (TS7022).
 */
import {
  vOnCompleteArgs,
  vStreamId,
  type BackgroundWriter,
} from "@convex-dev/persistent-text-streaming";
import { v } from "convex/values";
import { internal } from "./_generated/api.js";
import {
  internalAction,
  internalMutation,
  internalQuery,
  mutation,
} from "./_generated/server.js";
import { streaming, tokens } from "./replies.js";

export const send = mutation({
  args: { prompt: v.string() },
  handler: async (ctx, { prompt }) => {
    const streamId = await streaming.createStream(ctx, {
      onComplete: internal.conversation.onEnd,
      context: { prompt },
    });
    await ctx.scheduler.runAfter(5000, internal.conversation.answer, {
      streamId,
    });
    const id = await ctx.db.insert("chats", { prompt, stream: streamId });
    return await ctx.db.get(id);
  },
});

export const sendWithReturns = mutation({
  args: { prompt: v.string() },
  returns: vStreamId,
  handler: async (ctx, { prompt }) => {
    const streamId = await streaming.createStream(ctx, {
      onComplete: internal.conversation.onEnd,
      context: { prompt },
    });
    return streamId;
  },
});

export const onEnd = internalMutation({
  args: vOnCompleteArgs(v.object({ prompt: v.string() })),
  handler: async (ctx, { streamId, status, context }) => {
    const { text } = await streaming.getStreamBody(ctx, streamId);
    return `${status} ${context.prompt} ${text}`;
  },
});

export const answer = internalAction({
  args: { streamId: vStreamId },
  handler: async (ctx, { streamId }) => {
    const write: BackgroundWriter = async function* (_append, signal) {
      yield await ctx.runQuery(internal.conversation.prompt, { streamId });
      yield* tokens(signal);
    };
    const isMine = await streaming.generate(ctx, streamId, write);
    return isMine;
  },
});

export const prompt = internalQuery({
  args: { streamId: vStreamId },
  handler: async (ctx, { streamId }) => {
    const chats = await ctx.db.query("chats").collect();
    return chats.find((chat) => chat.stream === streamId)?.prompt ?? "";
  },
});
