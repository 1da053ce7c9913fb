"use node";

import { vStreamId } from "@convex-dev/persistent-text-streaming";
import { v } from "convex/values";
import { internalAction } from "./_generated/server";
import { writeReply } from "./assistantBackground";

/** The same in Node, for models whose libraries need it. There an action has 10 minutes. */
export const generate = internalAction({
  args: { streamId: vStreamId },
  returns: v.null(),
  handler: (ctx, args) => writeReply(ctx, args.streamId),
});
