import { vStreamId } from "@convex-dev/persistent-text-streaming";
import { v } from "convex/values";
import { internalAction } from "./_generated/server";
import { writeReply } from "./assistantBackground";

/** Writes a reply in Convex's own runtime, where an action has 30 minutes. */
export const generate = internalAction({
  args: { streamId: vStreamId },
  returns: v.null(),
  handler: (ctx, args) => writeReply(ctx, args.streamId),
});
