/** How apps of 0.3 name the package's types, and what they do with values of them. */
import {
  PersistentTextStreaming,
  type ChunkAppender,
  type StreamBody,
  type StreamId,
  type StreamWriter,
} from "@convex-dev/persistent-text-streaming";
import { useStream } from "@convex-dev/persistent-text-streaming/react";
import type { GenericActionCtx, GenericDataModel } from "convex/server";
import { v, type Infer } from "convex/values";
import { api, components } from "../convex/_generated/api.js";
import {
  httpAction,
  mutation,
  query,
  type ActionCtx,
  type MutationCtx,
} from "../convex/_generated/server.js";

const { lib } = components.persistentTextStreaming;

export class Streaming extends PersistentTextStreaming {
  constructor() {
    super(components.persistentTextStreaming);
  }
  async replace(ctx: MutationCtx, id: StreamId): Promise<StreamId> {
    await this.deleteStream(ctx, id);
    await ctx.runQuery(this.component.lib.getStreamStatus, { streamId: id });
    return this.createStream(ctx);
  }
}
const streaming = new Streaming();

type Body = Awaited<ReturnType<PersistentTextStreaming["getStreamBody"]>>;
type Shown = ReturnType<typeof useStream>;
const vBody = v.object({
  text: v.string(),
  status: v.union(
    v.literal("pending"),
    v.literal("streaming"),
    v.literal("done"),
    v.literal("error"),
    v.literal("timeout"),
  ),
});
export const bodies: [Body, Shown, Infer<typeof vBody>] = [
  { text: "", status: "done" },
  { text: "", status: "timeout" },
  { text: "", status: "error" } as StreamBody,
];
export const icons: Record<Shown["status"], string> &
  Record<Body["status"], string> = {
  pending: "…",
  streaming: "…",
  done: "✓",
  error: "✗",
  timeout: "✗",
};

export function describe({ status }: StreamBody): string {
  switch (status) {
    case "pending":
    case "streaming":
      return "being written";
    case "done":
      return "written";
    case "error":
    case "timeout":
      return "broken off";
    default: {
      const never: never = status;
      return never;
    }
  }
}

export const useReply = (
  ...args: Parameters<typeof useStream>
): StreamBody & { icon: string } => {
  const body = useStream(...args);
  return { ...body, icon: icons[body.status] };
};

export function useUntyped(query: any, id: any): StreamBody {
  const body: Shown = useStream(query, new URL("https://a.site"), true, id, {});
  return useStream(
    (api as any).patterns.body,
    new URL("https://a.site"),
    !body,
    id,
  );
}

type Ctx = GenericActionCtx<GenericDataModel>;
const writer: StreamWriter<Ctx> = async (_ctx, _request, id, append) => {
  await append(id);
};
/** A writer around a writer. */
const counted =
  (inner: StreamWriter<Ctx>): StreamWriter<Ctx> =>
  async (ctx, request, id, append) => {
    let count = 0;
    const counting: ChunkAppender = (text) => append(`${count++} ${text}`);
    await inner(ctx, request, id, counting);
  };
export const written: Promise<void> = writer(
  {} as Ctx,
  new Request("https://a.site"),
  "" as StreamId,
  async () => {},
);

class Model {
  async write(
    _: unknown,
    request: Request,
    id: StreamId,
    append: ChunkAppender,
  ) {
    await append(request.url + id);
  }
}

export const stream = httpAction(async (ctx, request) => {
  const id = new URL(request.url).searchParams.get("id") as StreamId;
  const model = new Model();
  const bound = model.write.bind(model);
  await streaming.stream(ctx, request, id, bound);
  await streaming.stream(ctx, request, id, (c, r, i, append) =>
    counted(writer)(c, r, i, append),
  );
  const { body, status } = await streaming.stream(ctx, request, id, bound);
  return new Response(body, { status, headers: { Vary: "Origin" } });
});

export const statuses = query({
  args: { ids: v.array(v.string()) },
  returns: v.record(v.string(), vBody.fields.status),
  handler: async (ctx, { ids }) => {
    const found: Record<string, StreamBody["status"]> = {};
    for (const streamId of ids) {
      found[streamId] = await ctx.runQuery(lib.getStreamStatus, { streamId });
    }
    return found;
  },
});

export const start = mutation({
  args: { status: vBody.fields.status },
  handler: async (ctx, { status }) => {
    const streamId = await ctx.runMutation(lib.createStream);
    const nothing: null = await ctx.runMutation(lib.setStreamStatus, {
      streamId,
      status,
    });
    return nothing ?? (streamId as StreamId);
  },
});

export const read = (ctx: ActionCtx | MutationCtx, id: StreamId) =>
  streaming.getStreamBody(ctx, id);
