/** What apps of 0.3 do: with the query behind the hook, with an HTTP action, and with the component's functions alone. */
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
import { components, internal } from "./_generated/api.js";
import {
  action,
  httpAction,
  internalMutation,
  mutation,
  query,
  type ActionCtx,
  type MutationCtx,
  type QueryCtx,
} from "./_generated/server.js";

const component: ComponentApi = components.persistentTextStreaming;
const { lib } = component;
const args = { streamId: StreamIdValidator };

/** The class with an app's own methods. */
export class Streaming extends PersistentTextStreaming {
  constructor() {
    super(component);
  }
  async replace(ctx: MutationCtx, streamId: StreamId): Promise<StreamId> {
    await ctx.runQuery(this.component.lib.getStreamStatus, { streamId });
    await this.deleteStream(ctx, streamId);
    return this.createStream(ctx);
  }
}
const streaming = new Streaming();
type Body = Awaited<ReturnType<PersistentTextStreaming["getStreamBody"]>>;
const read = (ctx: QueryCtx | MutationCtx | ActionCtx, streamId: string) =>
  streaming.getStreamBody(ctx, streamId as StreamId);

export const create = mutation({
  args: {},
  handler: (ctx) => streaming.createStream(ctx),
});

/** A message with its stream; its title is written in the background. */
export const send = mutation({
  args: { prompt: v.string() },
  handler: async (ctx, { prompt }): Promise<StreamId> => {
    const stream = await streaming.createStream(ctx);
    await ctx.db.insert("chats", { prompt, stream });
    await ctx.scheduler.runAfter(1000, internal.patterns.inOneGo, {});
    return stream;
  },
});

export const remove = mutation({
  args,
  handler: (ctx, { streamId }) =>
    streaming.deleteStream(ctx, streamId as StreamId),
});

export const body = query({
  args,
  handler: async (ctx, { streamId }): Promise<StreamBody> =>
    read(ctx, streamId),
});

/** `returns` with 0.3's five statuses, and further fields. */
export const status = v.union(
  v.literal("pending"),
  v.literal("streaming"),
  v.literal("done"),
  v.literal("error"),
  v.literal("timeout"),
);
export const withModel = query({
  args,
  returns: v.object({ text: v.string(), status, model: v.string() }),
  handler: async (ctx, { streamId }) => ({
    ...(await read(ctx, streamId)),
    model: "small",
  }),
});

export const notSignedIn = query({
  args,
  handler: (): Body => {
    throw new Error("Not signed in.");
  },
});

export const notFound = query({
  args,
  handler: () => null as unknown as StreamBody,
});

/** A model that the URL makes wait before its first token and between its tokens, or fail. */
class Model {
  constructor(private readonly search: URLSearchParams) {}

  private async wait(name: string) {
    const ms = Number(this.search.get(name) ?? 0);
    if (ms > 0) await new Promise((resolve) => setTimeout(resolve, ms));
  }

  async write(ctx: Ctx, _: unknown, streamId: StreamId, append: ChunkAppender) {
    await this.wait("first");
    for (const token of ["Hello, ", "world. ", "Bye", "."]) {
      if (this.search.get("failAt") === token) {
        throw new Error("The model broke off.");
      }
      await append(token);
      await this.wait("gap");
    }
    if (!this.search.has("failed")) return;
    await ctx.runMutation(lib.setStreamStatus, { streamId, status: "error" });
  }
}

type Ctx = GenericActionCtx<GenericDataModel>;

/** A writer around a writer, which leaves out what is empty. */
const filtered =
  (inner: StreamWriter<Ctx>): StreamWriter<Ctx> =>
  async (ctx, request, streamId, append) => {
    const appendText: ChunkAppender = async (text) => {
      if (text !== "") await append(text);
    };
    await inner(ctx, request, streamId, appendText);
  };

export const write = httpAction(async (ctx, request) => {
  const model = new Model(new URL(request.url).searchParams);
  const { streamId } = (await request.json()) as { streamId: StreamId };
  const writer = filtered(model.write.bind(model));
  const response = await streaming.stream(ctx, request, streamId, writer);
  response.headers.set("Access-Control-Allow-Origin", "*");
  response.headers.set("Vary", "Origin");
  return response;
});

/**
 * Writes a stream with `lib` alone, as a background worker does. It checks that no one
 * else has started, saves in batches until someone stops it, and always ends the stream.
 */
export const work = action({
  args: { streamId: v.string(), tokens: v.array(v.string()) },
  handler: async (ctx, { streamId, tokens }): Promise<string> => {
    const statusNow = () => ctx.runQuery(lib.getStreamStatus, { streamId });
    const save = (text: string, final: boolean) =>
      ctx.runMutation(lib.addChunk, { streamId, text, final });
    if ((await statusNow()) !== "pending") return "another writer has it";
    await ctx.runMutation(lib.setStreamStatus, {
      streamId,
      status: "streaming",
    });
    let batch = "";
    try {
      for (const token of tokens) {
        if (token === "fail") throw new Error("The model broke off.");
        batch += token;
        if (!/[.!?]\s*$/.test(batch)) continue;
        await save(batch, false);
        batch = "";
      }
    } finally {
      const isStopped = (await statusNow()) !== "streaming";
      if (!isStopped) await save(batch, true);
    }
    return await statusNow();
  },
});

export const add = mutation({
  args: { ...args, text: v.string() },
  handler: async (ctx, { streamId, text }) => {
    await ctx.runMutation(lib.addChunk, { streamId, text, final: false });
  },
});

export const end = mutation({
  args: { ...args, status },
  handler: async (ctx, args) => {
    const nothing: null = await ctx.runMutation(lib.setStreamStatus, args);
    return nothing;
  },
});

export const poll = query({
  args,
  handler: (ctx, args) => ctx.runQuery(lib.getStreamText, args),
});

export const statusOf = query({
  args,
  returns: status,
  handler: (ctx, args) => ctx.runQuery(lib.getStreamStatus, args),
});

/** Creates, writes and deletes in one transaction, as a migration does. */
export const inOneGo = internalMutation({
  args: {},
  handler: async (ctx): Promise<string> => {
    const streamId = await ctx.runMutation(lib.createStream);
    await ctx.runMutation(lib.addChunk, { streamId, text: "A", final: true });
    const { text } = await ctx.runQuery(lib.getStreamText, { streamId });
    await ctx.runMutation(lib.deleteStream, { streamId });
    return text;
  },
});
