"use node";

import { vStreamId } from "@convex-dev/persistent-text-streaming";
import { v } from "convex/values";
import { internalAction } from "./_generated/server";
import { writeAssistantReply } from "./writers";

/** Writes an assistant's reply in Node, for models whose libraries need it. There an action has 10 minutes. */
export const generate = internalAction({
  args: { streamId: vStreamId },
  returns: v.null(),
  handler: writeAssistantReply,
});
