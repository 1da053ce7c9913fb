/**
 * The writers of replies, and the actions that run them in the background: at once,
 * for the assistant's background modes, or as a fallback, where a tab was closed
 * before it asked for its reply. The page's requests run them in `http.ts`.
 */
import {
  vStreamId,
  type StreamId,
} from "@convex-dev/persistent-text-streaming";
import { v } from "convex/values";
import { internal } from "./_generated/api";
import { internalAction, type ActionCtx } from "./_generated/server";
import { answer } from "./assistantModel";
import { reply } from "./model";
import { lineStreaming, streaming } from "./streaming";

type Ctx = Pick<ActionCtx, "runQuery">;

export async function* chatReply(
  ctx: Ctx,
  streamId: StreamId,
  signal: AbortSignal,
): AsyncGenerator<string, void> {
  const messages = await ctx.runQuery(internal.chat.history, { streamId });
  // The message may have been deleted since.
  if (messages !== null) yield* reply(messages, signal);
}

export async function* assistantReply(
  ctx: Ctx,
  streamId: StreamId,
  signal: AbortSignal,
): AsyncGenerator<string, void> {
  const turns = await ctx.runQuery(internal.assistant.history, { streamId });
  if (turns !== null) yield* answer(turns, signal);
}

/** Writes a chat's reply, unless a request is writing it or it has ended. */
export const chat = internalAction({
  args: { streamId: vStreamId },
  returns: v.null(),
  handler: async (ctx, { streamId }) => {
    await streaming.generate(ctx, streamId, (_append, signal) =>
      chatReply(ctx, streamId, signal),
    );
    return null;
  },
});

/** Writes an assistant's reply, in Convex's own runtime, where an action has 30 minutes. */
export const assistant = internalAction({
  args: { streamId: vStreamId },
  returns: v.null(),
  handler: writeAssistantReply,
});

export async function writeAssistantReply(
  ctx: ActionCtx,
  { streamId }: { streamId: StreamId },
): Promise<null> {
  await lineStreaming.generate(ctx, streamId, (_append, signal) =>
    assistantReply(ctx, streamId, signal),
  );
  return null;
}
