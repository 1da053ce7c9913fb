/** The agent component's delta streaming, as its documentation sets it up without an agent. */
import {
  compressUIMessageChunks,
  createThread,
  DEFAULT_STREAMING_OPTIONS,
  DeltaStreamer,
  syncStreams,
  vStreamArgs,
} from "@convex-dev/agent";
import {
  componentsGeneric,
  mutationGeneric,
  queryGeneric,
} from "convex/server";
import { v } from "convex/values";
import { writeRouter } from "../writer.js";

type Component = Parameters<typeof createThread>[1];

const components = componentsGeneric() as unknown as { agent: Component };

export const create = mutationGeneric({
  args: {},
  handler: (ctx) => createThread(ctx, components.agent),
});

export const deltas = queryGeneric({
  args: { threadId: v.string(), streamArgs: vStreamArgs },
  handler: (ctx, args) =>
    syncStreams(ctx, components.agent, {
      ...args,
      includeStatuses: ["streaming", "aborted", "finished"],
    }),
});

export const http = writeRouter(async (ctx, _request, threadId, writer) => {
  const streamer = new DeltaStreamer(
    components.agent,
    ctx,
    {
      throttleMs: DEFAULT_STREAMING_OPTIONS.throttleMs,
      compress: compressUIMessageChunks,
      onAsyncAbort: () => Promise.resolve(),
      abortSignal: undefined,
    },
    { threadId, order: 0, stepOrder: 0, format: "UIMessageChunk" },
  );
  const id = "text";
  await streamer.addParts([{ type: "text-start", id }]);
  await writer((delta) =>
    streamer.addParts([{ type: "text-delta", id, delta }]),
  );
  await streamer.addParts([{ type: "text-end", id }]);
  await streamer.finish();
  return new Response(null, { status: 204 });
});
