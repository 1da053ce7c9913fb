import {
  anyApi,
  componentsGeneric,
  httpActionGeneric,
  internalActionGeneric,
  internalMutationGeneric,
  mutationGeneric,
  queryGeneric,
} from "convex/server";
import { v, type GenericId } from "convex/values";
import {
  PersistentTextStreaming,
  streamBodyArgs,
  vOnCompleteArgs,
  type StreamId,
} from "../../../src/client/index.js";
import type { ComponentApi } from "../../../src/component/_generated/component.js";
import { streamsApp } from "../streams.js";
import { meeting } from "../writer.js";

const components = componentsGeneric() as unknown as {
  persistentTextStreaming: ComponentApi;
};

const FALLBACK_MS = 2000;

const minDelayMs = Number(process.env.MIN_DELAY_MS ?? 400);
const streaming = new PersistentTextStreaming(
  components.persistentTextStreaming,
  { flush: { minDelayMs, maxDelayMs: Math.max(minDelayMs, 1000) } },
);

export const { create, body, http } = streamsApp(streaming);

/** A stream with a background writer in case no page drives it, as in docs/background.md. */
export const createWithFallback = mutationGeneric({
  args: {},
  handler: async (ctx) => {
    const { answer, finished } = anyApi.streams!;
    const onComplete = finished as never;
    const streamId = await streaming.createStream(ctx, { onComplete });
    const fallback = await ctx.scheduler.runAfter(FALLBACK_MS, answer!, {
      streamId,
    });
    await ctx.db.insert("fallbacks", { fallback });
    return streamId;
  },
});

export const finished = internalMutationGeneric({
  args: vOnCompleteArgs(),
  handler: async (ctx) => {
    const [row] = (await ctx.db.query("fallbacks").take(1)) as [
      { fallback: GenericId<"_scheduled_functions"> },
    ];
    await ctx.scheduler.cancel(row.fallback);
  },
});

export const answer = internalActionGeneric({
  args: { streamId: v.string() },
  handler: async (ctx, { streamId }) => {
    await streaming.generate(ctx, streamId as StreamId, async () => {});
  },
});

/** For `useStream(…, { incremental: true })`. */
export const page = queryGeneric({
  args: streamBodyArgs,
  handler: (ctx, { streamId, from }) =>
    streaming.getStreamBody(ctx, streamId, from),
});

/** For `readStream`. */
http.route({
  path: "/resume",
  method: "GET",
  handler: httpActionGeneric((ctx, request) => {
    const streamId = new URL(request.url).searchParams.get("streamId");
    return streaming.resume(ctx, request, streamId as StreamId);
  }),
});

/** For the load. */
export const remove = mutationGeneric({
  args: { streamId: v.string() },
  returns: v.null(),
  handler: async (ctx, { streamId }) => {
    await streaming.deleteStream(ctx, streamId as StreamId);
    meeting.records.delete(streamId);
    return null;
  },
});
