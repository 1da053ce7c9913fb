/** An app whose replies are written by a job that action-retrier runs. */
import { ActionRetrier } from "@convex-dev/action-retrier";
import type { ComponentApi } from "@convex-dev/action-retrier/_generated/component.js";
import {
  anyApi,
  componentsGeneric,
  internalActionGeneric,
  internalMutationGeneric,
  mutationGeneric,
  queryGeneric,
  type FunctionReference,
} from "convex/server";
import {
  vOnCompleteArgs,
  vStreamId,
  type ChunkAppender,
} from "../../../src/client/index.js";
import { streaming } from "../../support/app/chat.js";

const { actionRetrier } = componentsGeneric() as unknown as {
  actionRetrier: ComponentApi;
};
const { jobs } = anyApi as unknown as {
  jobs: { ended: never; attempt: FunctionReference<"action", "internal"> };
};
const retrier = new ActionRetrier(actionRetrier, { initialBackoffMs: 10 });

type Attempt = (append: ChunkAppender, saved: string) => Promise<void>;
const shared = globalThis as { retrierAttempts?: Attempt[] };
/** What the next attempts do. The tests run in the same process. */
export const attempts = (shared.retrierAttempts ??= []);

export const start = mutationGeneric({
  args: {},
  handler: async (ctx) => {
    const onComplete = jobs.ended;
    const streamId = await streaming.createStream(ctx, { onComplete });
    await retrier.run(ctx, jobs.attempt, { streamId });
    return streamId;
  },
});

export const attempt = internalActionGeneric({
  args: { streamId: vStreamId },
  handler: async (ctx, { streamId }) => {
    const write = attempts.shift()!;
    await streaming.generate(
      ctx,
      streamId,
      async (append) => {
        const { text } = await streaming.getStreamBody(ctx, streamId);
        await write(append, text);
      },
      { takeOver: true },
    );
  },
});

export const ended = internalMutationGeneric({
  args: vOnCompleteArgs(),
  handler: async (ctx, { status, length }) => {
    await ctx.db.insert("told", { status, length });
  },
});

/** What readers see of a stream, and what the app was told of its end. */
export const look = queryGeneric({
  args: { streamId: vStreamId },
  handler: async (ctx, { streamId }) => ({
    page: await streaming.getStreamBody(ctx, streamId, 0),
    told: await ctx.db.query("told").collect(),
  }),
});
