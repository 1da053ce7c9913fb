/**
 * An app for the hook's tests: written as an app is, with queries that read
 * streams and an HTTP action (`http.ts`) that writes them.
 */
import {
  componentsGeneric,
  mutationGeneric as mutation,
  queryGeneric,
  type GenericDataModel,
  type GenericQueryCtx,
  type QueryBuilder,
} from "convex/server";
import {
  PersistentTextStreaming,
  StreamIdValidator,
  streamBodyArgs,
  vStreamId,
  type StreamBody,
  type StreamId,
} from "../../../src/client/index.js";
import type { ComponentApi } from "../../../src/component/_generated/component.js";

const query = queryGeneric as QueryBuilder<GenericDataModel, "public">;
const components = componentsGeneric() as unknown as {
  persistentTextStreaming: ComponentApi;
};

export const streaming = new PersistentTextStreaming(
  components.persistentTextStreaming,
);

/** For protocols of lines. */
export const lineStreaming = new PersistentTextStreaming(
  components.persistentTextStreaming,
  { flush: "line" },
);

export const create = mutation({
  args: {},
  handler: (ctx) => streaming.createStream(ctx),
});

export const stop = mutation({
  args: { streamId: vStreamId },
  handler: (ctx, { streamId }) => streaming.abortStream(ctx, streamId),
});

/** As the cron does it after 20 minutes. */
export const timeOut = mutation({
  args: { streamId: vStreamId },
  handler: async (ctx, { streamId }) => {
    const { lib } = components.persistentTextStreaming;
    const timeout = { streamId, status: "timeout" as const };
    await ctx.runMutation(lib.setStreamStatus, timeout);
  },
});

export const remove = mutation({
  args: { streamId: vStreamId },
  handler: (ctx, { streamId }) => streaming.deleteStream(ctx, streamId),
});

/** As an app of version 0.3 has it. */
export const body = query({
  args: { streamId: StreamIdValidator },
  handler: (ctx, { streamId }) =>
    streaming.getStreamBody(ctx, streamId as StreamId),
});

export const page = query({
  args: streamBodyArgs,
  handler: (ctx, { streamId, from }) =>
    streaming.getStreamBody(ctx, streamId, from),
});

export const refused = query({
  args: { streamId: vStreamId },
  handler: (): StreamBody => {
    throw new Error("Not yours to read.");
  },
});

const note = (table: "requests" | "runs" | "gates") =>
  mutation({
    handler: async (ctx, args: { streamId: string }) => {
      await ctx.db.insert(table, args);
    },
  });
const notes = (
  ctx: GenericQueryCtx<GenericDataModel>,
  table: "requests" | "runs" | "gates",
  streamId: string,
): Promise<Record<string, unknown>[]> =>
  ctx.db
    .query(table)
    .filter((q) => q.eq(q.field("streamId"), streamId))
    .collect();

/** Notes a request that the HTTP action got: its `authorization` and `extra`. */
export const noteRequest = note("requests");
export const requests = query({
  handler: (ctx, { streamId }: { streamId: string }) =>
    notes(ctx, "requests", streamId),
});

/** Notes that a stream's writer has begun. */
export const noteRun = note("runs");
export const runs = query({
  handler: async (ctx, { streamId }: { streamId: string }) =>
    (await notes(ctx, "runs", streamId)).length,
});

/** Lets the writer of a stream go through its gate. */
export const goOn = note("gates");
export const wentOn = query({
  handler: async (ctx, { streamId }: { streamId: string }) =>
    (await notes(ctx, "gates", streamId)).length > 0,
});
