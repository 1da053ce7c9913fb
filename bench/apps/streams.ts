/** The app that both packages run: what their READMEs tell an app to have. */
import {
  httpActionGeneric,
  httpRouter,
  mutationGeneric,
  queryGeneric,
  type GenericActionCtx,
  type GenericDataModel,
  type GenericMutationCtx,
} from "convex/server";
import { v } from "convex/values";
import type { StreamId } from "../../src/client/index.js";
import { clock } from "../virtual-clock.js";
import { Commits, planOf, write } from "./writer.js";

type ActionCtx = GenericActionCtx<GenericDataModel>;
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

const cors = {
  "Access-Control-Allow-Origin": "*",
  "Access-Control-Allow-Headers": "Content-Type",
};

export function streamsApp(streaming: Streaming) {
  const create = mutationGeneric({
    args: {},
    handler: (ctx: MutationCtx) => streaming.createStream(ctx),
  });

  const body = queryGeneric({
    args: { streamId: v.string() },
    handler: (ctx, { streamId }) =>
      streaming.getStreamBody(ctx, streamId as StreamId),
  });

  const http = httpRouter();
  http.route({
    path: "/write",
    method: "POST",
    handler: httpActionGeneric(async (ctx, request) => {
      const { streamId } = (await request.json()) as { streamId: string };
      const plan = planOf(request.url);
      // Already here: the package sets timers before it calls the writer.
      if (plan.stopClock) clock.stop();
      const commits = new Commits();
      const response = await streaming.stream(
        commits.watch(ctx),
        request,
        streamId as StreamId,
        (_ctx, _request, _streamId, append) =>
          write(streamId, plan, append, commits),
      );
      for (const [name, value] of Object.entries(cors)) {
        response.headers.set(name, value);
      }
      return response;
    }),
  });
  http.route({
    path: "/write",
    method: "OPTIONS",
    handler: httpActionGeneric(() =>
      Promise.resolve(new Response(null, { status: 204, headers: cors })),
    ),
  });
  return { create, body, http };
}
