/**
 * An app for the hook's tests: written as an app is, with queries that read
 * streams and an HTTP action (`http.ts`) that writes them.
 */
import {
  componentsGeneric,
  mutationGeneric as mutation,
  queryGeneric as query,
} from "convex/server";
import { v } from "convex/values";
import {
  PersistentTextStreaming,
  StreamIdValidator,
  streamBodyArgs,
  type StreamId,
} from "../../../src/client/index.js";
import type { ComponentApi } from "../../../src/component/_generated/component.js";

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
  args: { streamId: StreamIdValidator },
  handler: (ctx, { streamId }) =>
    streaming.abortStream(ctx, streamId as StreamId),
});

/** As the cron does it after 20 minutes. */
export const timeOut = mutation({
  args: { streamId: StreamIdValidator },
  handler: async (ctx, { streamId }) => {
    await ctx.runMutation(
      components.persistentTextStreaming.lib.setStreamStatus,
      { streamId, status: "timeout" },
    );
  },
});

export const remove = mutation({
  args: { streamId: StreamIdValidator },
  handler: (ctx, { streamId }) =>
    streaming.deleteStream(ctx, streamId as StreamId),
});

/** As an app of version 0.3 has it. */
export const body = query({
  args: { streamId: StreamIdValidator },
  handler: async (ctx, { streamId }) => {
    return await streaming.getStreamBody(ctx, streamId as StreamId);
  },
});

export const page = query({
  args: streamBodyArgs,
  handler: async (ctx, { streamId, from }) => {
    return await streaming.getStreamBody(ctx, streamId, from);
  },
});

export const refused = query({
  args: { streamId: StreamIdValidator },
  handler: (): { text: string; status: "pending" } => {
    throw new Error("Not yours to read.");
  },
});

/** As an app answers for a message that it does not find. */
export const missing = query({
  args: { streamId: StreamIdValidator },
  handler: () => null,
});

export const noteRequest = mutation({
  args: { streamId: v.string(), authorization: v.string(), extra: v.string() },
  handler: async (ctx, args) => {
    await ctx.db.insert("requests", args);
  },
});

/** The requests that the HTTP action got for a stream. */
export const requests = query({
  args: { streamId: v.string() },
  handler: async (ctx, { streamId }) => {
    const found: unknown = await ctx.db
      .query("requests")
      .filter((q) => q.eq(q.field("streamId"), streamId))
      .collect();
    return found;
  },
});

export const noteRun = mutation({
  args: { streamId: v.string() },
  handler: async (ctx, args) => {
    await ctx.db.insert("runs", args);
  },
});

/** How often a stream's writer has begun. */
export const runs = query({
  args: { streamId: v.string() },
  handler: async (ctx, { streamId }) => {
    const found = await ctx.db
      .query("runs")
      .filter((q) => q.eq(q.field("streamId"), streamId))
      .collect();
    return found.length;
  },
});

/** Lets the writer of a stream go through its gate. */
export const goOn = mutation({
  args: { streamId: v.string() },
  handler: async (ctx, args) => {
    await ctx.db.insert("gates", args);
  },
});

export const wentOn = query({
  args: { streamId: v.string() },
  handler: async (ctx, { streamId }) => {
    const gate: unknown = await ctx.db
      .query("gates")
      .filter((q) => q.eq(q.field("streamId"), streamId))
      .first();
    return gate !== null;
  },
});

/** A query that withdraws a text once a request says so. */
export const moderated = query({
  args: { streamId: StreamIdValidator },
  handler: async (ctx, { streamId }) => {
    const body = await streaming.getStreamBody(ctx, streamId as StreamId);
    const withdrawal: unknown = await ctx.db
      .query("requests")
      .filter((q) =>
        q.and(
          q.eq(q.field("streamId"), streamId),
          q.eq(q.field("extra"), "withdraw"),
        ),
      )
      .first();
    return withdrawal === null
      ? body
      : { text: "[removed]", status: body.status };
  },
});

/** A query that takes and returns more than the stream. */
export const withModel = query({
  args: { streamId: StreamIdValidator, model: v.string() },
  handler: async (ctx, { streamId, model }) => {
    const body = await streaming.getStreamBody(ctx, streamId as StreamId);
    return { ...body, model };
  },
});

/** A query that takes `from` and does not say where its text starts. */
export const stripped = query({
  args: streamBodyArgs,
  handler: async (ctx, { streamId, from }) => {
    const { text, status } = await streaming.getStreamBody(ctx, streamId, from);
    return { text, status };
  },
});
