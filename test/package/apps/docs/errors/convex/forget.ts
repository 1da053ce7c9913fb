// convex/forget.ts
import {
  isStreamError,
  vStreamId,
} from "@convex-dev/persistent-text-streaming";
import { mutation } from "./_generated/server";
import { streaming } from "./chat";

/** Deletes a reply. It may be gone already: two windows can do this at once. */
export const forget = mutation({
  args: { streamId: vStreamId },
  handler: async (ctx, { streamId }) => {
    try {
      await streaming.deleteStream(ctx, streamId);
    } catch (error) {
      if (!isStreamError(error, "StreamNotFound")) throw error;
    }
  },
});
