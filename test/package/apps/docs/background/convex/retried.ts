// convex/retried.ts
import { vStreamId } from "@convex-dev/persistent-text-streaming";
import { internalAction } from "./_generated/server";
import { streaming } from "./chat";
import { continueStory } from "./model";

export const chapter = internalAction({
  args: { streamId: vStreamId },
  handler: async (ctx, { streamId }) => {
    await streaming.generate(
      ctx,
      streamId,
      async function* (_append, signal) {
        // Exact: the attempt before this one can no longer save anything.
        const { text } = await streaming.getStreamBody(ctx, streamId);
        yield* continueStory(text, signal);
      },
      { takeOver: true },
    );
  },
});
