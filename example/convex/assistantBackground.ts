import type { StreamId } from "@convex-dev/persistent-text-streaming";
import { internal } from "./_generated/api";
import type { ActionCtx } from "./_generated/server";
import { answer } from "./assistantModel";
import { lineStreaming } from "./streaming";

/** Writes a reply with no browser that waits for it. */
export async function writeReply(
  ctx: ActionCtx,
  streamId: StreamId,
): Promise<null> {
  const turns = await ctx.runQuery(internal.assistant.history, { streamId });
  // The conversation may have been deleted before this began.
  if (turns !== null) {
    await lineStreaming.generate(ctx, streamId, (_append, signal) =>
      answer(turns, signal),
    );
  }
  return null;
}
