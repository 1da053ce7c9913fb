// convex/feed.ts
import { vStreamId } from "@convex-dev/persistent-text-streaming";
import { v } from "convex/values";
import { internalAction } from "./_generated/server";
import { streaming } from "./chat";

/** Sends a reply to a webhook, one POST per piece. */
export const deliver = internalAction({
  args: { streamId: vStreamId, webhook: v.string() },
  handler: async (ctx, { streamId, webhook }) => {
    for await (const text of streaming.follow(ctx, streamId)) {
      await fetch(webhook, { method: "POST", body: text });
    }
  },
});
