import {
  PersistentTextStreaming,
  StreamIdValidator,
  type ChunkAppender,
  type StreamBody,
  type StreamId,
  type StreamWriter,
} from "@convex-dev/persistent-text-streaming";
import type { ComponentApi } from "@convex-dev/persistent-text-streaming/_generated/component.js";
import type { GenericActionCtx, GenericDataModel } from "convex/server";
import { v } from "convex/values";
import { components } from "./_generated/api.js";
import {
  action,
  httpAction,
  mutation,
  query,
  type QueryCtx,
} from "./_generated/server.js";

const component: ComponentApi = components.persistentTextStreaming;
export const streaming = new PersistentTextStreaming(component);

export const createChat = mutation({
  args: { prompt: v.string() },
  handler: async (ctx, { prompt }) => {
    const stream: StreamId = await streaming.createStream(ctx);
    return ctx.db.insert("chats", { prompt, stream });
  },
});

export const createFromAction = action({
  args: {},
  handler: (ctx): Promise<string> => streaming.createStream(ctx),
});

export const getChatBody = query({
  args: { streamId: StreamIdValidator },
  handler: async (ctx, args): Promise<StreamBody> =>
    streaming.getStreamBody(ctx, args.streamId as StreamId),
});

export const getChatBodyInferred = query({
  args: { streamId: StreamIdValidator },
  handler: async (ctx, args) =>
    await streaming.getStreamBody(ctx, args.streamId as StreamId),
});

export const readFromAction = action({
  args: { streamId: StreamIdValidator },
  handler: async (ctx, args): Promise<string> => {
    const { text, status } = await streaming.getStreamBody(
      ctx,
      args.streamId as StreamId,
    );
    return status === "done" ? text : "";
  },
});

export const deleteChat = mutation({
  args: { id: v.id("chats") },
  handler: async (ctx, { id }) => {
    const chat = await ctx.db.get(id);
    if (chat !== null) {
      await streaming.deleteStream(ctx, chat.stream as StreamId);
    }
  },
});

export async function bodyOf(ctx: QueryCtx, id: StreamId) {
  const { text } = await streaming.getStreamBody(ctx, id);
  return text;
}

const write: StreamWriter<GenericActionCtx<GenericDataModel>> = async (
  ctx,
  request,
  streamId,
  chunkAppender,
) => {
  const append: ChunkAppender = chunkAppender;
  await append(`${request.method} ${streamId}: `);
  await append(await ctx.runQuery(component.lib.getStreamStatus, { streamId }));
};

export const streamChat = httpAction(async (ctx, request) => {
  const body = (await request.json()) as { streamId: string };
  const response = await streaming.stream(
    ctx,
    request,
    body.streamId as StreamId,
    write,
  );
  response.headers.set("Access-Control-Allow-Origin", "*");
  return response;
});

export const streamInline = httpAction(async (ctx, request) => {
  const body = (await request.json()) as { streamId: string };
  return streaming.stream(
    ctx,
    request,
    body.streamId as StreamId,
    async (_ctx, _request, _id, append) => {
      await append("Hi there!");
    },
  );
});

/** All of the component's functions, as an app may call them by itself. */
export const byHand = mutation({
  args: {},
  handler: async (ctx): Promise<string> => {
    const { lib } = component;
    const streamId = await ctx.runMutation(lib.createStream, {});
    await ctx.runMutation(lib.addChunk, { streamId, text: "A", final: false });
    await ctx.runMutation(lib.setStreamStatus, { streamId, status: "done" });
    const { text, status } = await ctx.runQuery(lib.getStreamText, {
      streamId,
    });
    await ctx.runMutation(lib.deleteStream, { streamId });
    return `${text} ${status}`;
  },
});
