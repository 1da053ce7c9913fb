/** An app whose replies are written by a job that action-retrier runs. */
import { ActionRetrier } from "@convex-dev/action-retrier";
import type { ComponentApi as RetrierApi } from "@convex-dev/action-retrier/_generated/component.js";
import {
  anyApi,
  componentsGeneric,
  internalActionGeneric,
  internalMutationGeneric,
  mutationGeneric,
  queryGeneric,
  type FunctionReference,
} from "convex/server";
import { v } from "convex/values";
import {
  PersistentTextStreaming,
  vOnCompleteArgs,
  vStreamId,
  type BackgroundWriter,
  type ChunkAppender,
} from "../../../src/client/index.js";
import type { ComponentApi } from "../../../src/component/_generated/component.js";

const components = componentsGeneric() as unknown as {
  persistentTextStreaming: ComponentApi;
  actionRetrier: RetrierApi;
};
const { jobs } = anyApi as unknown as {
  jobs: { ended: never; attempt: FunctionReference<"action", "internal"> };
};
const streaming = new PersistentTextStreaming(
  components.persistentTextStreaming,
);
const retrier = new ActionRetrier(components.actionRetrier, {
  initialBackoffMs: 10,
});

type Attempt = (saved: string, append: ChunkAppender) => Promise<void>;
interface Shared {
  /** What the next attempts do. */
  attempts: Attempt[];
  /** How many attempts `generate` has rejected. */
  rejections: number;
}
const global = globalThis as { __retrier?: Shared };
/** The tests run in the same process. */
export const shared = (global.__retrier ??= { attempts: [], rejections: 0 });

export const start = mutationGeneric({
  args: { maxFailures: v.number() },
  handler: async (ctx, options) => {
    const onComplete = jobs.ended;
    const streamId = await streaming.createStream(ctx, { onComplete });
    await retrier.run(ctx, jobs.attempt, { streamId }, options);
    return streamId;
  },
});

export const attempt = internalActionGeneric({
  args: { streamId: vStreamId },
  handler: async (ctx, { streamId }) => {
    const write = shared.attempts.shift()!;
    const writer: BackgroundWriter = async (append) => {
      const { text } = await streaming.getStreamBody(ctx, streamId);
      await write(text, append);
    };
    try {
      await streaming.generate(ctx, streamId, writer, { takeOver: true });
    } catch (error) {
      shared.rejections++;
      throw error;
    }
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
