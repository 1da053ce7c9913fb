// convex/digest.ts
import {
  isStreamError,
  vStreamId,
} from "@convex-dev/persistent-text-streaming";
import { internalAction } from "./_generated/server";
import { streaming } from "./chat";

/** Waits for a reply and returns its length, or null if it is deleted. */
export const digest = internalAction({
  args: { streamId: vStreamId },
  handler: async (ctx, { streamId }): Promise<number | null> => {
    let length = 0;
    try {
      for await (const text of streaming.follow(ctx, streamId)) {
        length += text.length;
      }
    } catch (error) {
      if (isStreamError(error, "StreamNotFound")) return null;
      throw error;
    }
    return length;
  },
});
