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
  type ActionCtx,
  type MutationCtx,
} from "../convex/_generated/server.js";
import { status } from "../convex/patterns.js";

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
export const read = (ctx: ActionCtx | MutationCtx, id: StreamId) =>
  streaming.getStreamBody(ctx, id);

type Body = Awaited<ReturnType<PersistentTextStreaming["getStreamBody"]>>;
type Shown = ReturnType<typeof useStream>;
const vBody = v.object({ text: v.string(), status });
export const bodies: [Body, Shown, Infer<typeof vBody>] = [
  { text: "", status: "done" },
  { text: "", status: "timeout" },
  { text: "", status: "error" } as StreamBody,
];

export const useReply = (
  ...args: Parameters<typeof useStream>
): StreamBody & { icon: string } => {
  const body = useStream(...args);
  const icons: Record<Shown["status"], string> &
    Record<Body["status"], string> = {
    pending: "…",
    streaming: "…",
    done: "✓",
    error: "✗",
    timeout: "✗",
  };
  return { ...body, icon: icons[body.status] };
};

export function useUntyped(query: any, id: any): StreamBody {
  const url = new URL("https://a.site");
  const body: Shown = useStream(query, url, true, id, {});
  return useStream((api as any).patterns.body, url, !body, id);
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
  await streaming.stream(ctx, request, id, model.write.bind(model));
  const { body, status } = await streaming.stream(
    ctx,
    request,
    id,
    (c, r, i, append) => counted(writer)(c, r, i, append),
  );
  return new Response(body, { status, headers: { Vary: "Origin" } });
});

export const start = mutation({
  args: { status },
  handler: async (ctx, { status }) => {
    const streamId = await ctx.runMutation(lib.createStream);
    const args = { streamId, status };
    const nothing: null = await ctx.runMutation(lib.setStreamStatus, args);
    return nothing ?? (streamId as StreamId);
  },
});
