/** The little that the suite needs to write streams. The package itself only serves readers. */
import type schema from "./schema.js";
import {
  componentsGeneric,
  mutationGeneric,
  queryGeneric,
  type DataModelFromSchemaDefinition,
  type GenericMutationCtx,
  type GenericQueryCtx,
  type MutationBuilder,
  type QueryBuilder,
} from "convex/server";
import { v } from "convex/values";
import {
  PersistentTextStreaming,
  type StreamId,
} from "../../../src/client/index.js";
import type { ComponentApi } from "../../../src/component/_generated/component.js";
import { isFinal } from "../../../src/shared.js";

type DataModel = DataModelFromSchemaDefinition<typeof schema>;
const query = queryGeneric as QueryBuilder<DataModel, "public">;
const mutation = mutationGeneric as MutationBuilder<DataModel, "public">;

const components = componentsGeneric() as unknown as {
  persistentTextStreaming: ComponentApi;
};
const { lib } = components.persistentTextStreaming;

export const streaming = new PersistentTextStreaming(
  components.persistentTextStreaming,
);

/** The result of a request to write, as an HTTP status. */
export type Written = { status: number; offset: number; closed: boolean };

/** Which stream is at a path. */
export type Place = { streamId: StreamId; contentType: string };

export const find = query({
  args: { path: v.string() },
  handler: (ctx, { path }) => placeOf(ctx, path),
});

export const put = mutation({
  args: {
    path: v.string(),
    contentType: v.string(),
    text: v.string(),
    close: v.boolean(),
  },
  handler: async (ctx, { path, contentType, text, close }) => {
    const place = await placeOf(ctx, path);
    if (place !== null) {
      const isSame = place.contentType === contentType;
      return written(ctx, place.streamId, isSame ? 200 : 409);
    }
    const streamId = await streaming.createStream(ctx);
    await ctx.db.insert("places", { path, streamId, contentType });
    await add(ctx, streamId, text, close);
    return written(ctx, streamId, 201);
  },
});

export const post = mutation({
  args: { path: v.string(), text: v.string(), close: v.boolean() },
  handler: async (ctx, { path, text, close }): Promise<Written> => {
    const place = await placeOf(ctx, path);
    if (place === null) return { status: 404, offset: 0, closed: false };
    const { streamId } = place;
    const before = await written(ctx, streamId, 409);
    if (before.closed && text !== "") return before;
    await add(ctx, streamId, text, close);
    return written(ctx, streamId, 204);
  },
});

export const remove = mutation({
  args: { path: v.string() },
  handler: async (ctx, { path }) => {
    const place = await placeOf(ctx, path);
    if (place === null) return 404;
    await streaming.deleteStream(ctx, place.streamId);
    await ctx.db.delete(place._id);
    return 204;
  },
});

async function placeOf(ctx: GenericQueryCtx<DataModel>, path: string) {
  const place = await ctx.db
    .query("places")
    .withIndex("byPath", (q) => q.eq("path", path))
    .unique();
  return place && { ...place, streamId: place.streamId as StreamId };
}

async function add(
  ctx: GenericMutationCtx<DataModel>,
  streamId: StreamId,
  text: string,
  close: boolean,
) {
  if (text !== "") {
    await ctx.runMutation(lib.addChunk, { streamId, text, final: close });
  } else if (close) {
    await ctx.runMutation(lib.setStreamStatus, { streamId, status: "done" });
  }
}

async function written(
  ctx: GenericMutationCtx<DataModel>,
  streamId: StreamId,
  status: number,
): Promise<Written> {
  const tail = await ctx.runQuery(lib.tail, { streamId });
  if (tail === null) throw new Error(`Stream ${streamId} is not there.`);
  return { status, offset: tail.offset, closed: isFinal(tail.status) };
}
