/** The app that both packages run: what their READMEs tell an app to have. */
import {
  mutationGeneric,
  queryGeneric,
  type GenericDataModel,
  type GenericMutationCtx,
} from "convex/server";
import { v } from "convex/values";
import type { StreamId } from "../../src/client/index.js";
import { writeRouter, type ActionCtx } from "./writer.js";

type MutationCtx = GenericMutationCtx<GenericDataModel>;

/** What the two packages have in common. */
interface Streaming {
  createStream(ctx: MutationCtx): Promise<StreamId>;
  getStreamBody(
    ctx: Pick<ActionCtx, "runQuery">,
    streamId: StreamId,
  ): Promise<{ text: string; status: string }>;
  stream(
    ctx: ActionCtx,
    request: Request,
    streamId: StreamId,
    writer: (
      ctx: ActionCtx,
      request: Request,
      streamId: StreamId,
      append: (text: string) => Promise<void>,
    ) => Promise<void>,
  ): Promise<Response>;
}

export function streamsApp(streaming: Streaming) {
  return {
    create: mutationGeneric({
      args: {},
      handler: (ctx: MutationCtx) => streaming.createStream(ctx),
    }),
    body: queryGeneric({
      args: { streamId: v.string() },
      handler: (ctx, { streamId }) =>
        streaming.getStreamBody(ctx, streamId as StreamId),
    }),
    http: writeRouter((ctx, request, streamId, writer) =>
      streaming.stream(ctx, request, streamId as StreamId, (...args) =>
        writer(args[3]),
      ),
    ),
  };
}
