/** The app under load: writers that say a sentence, and are silent for a while. */
import {
  componentsGeneric,
  httpActionGeneric,
  httpRouter,
  mutationGeneric,
  queryGeneric,
} from "convex/server";
import { v } from "convex/values";
import {
  PersistentTextStreaming,
  StreamIdValidator,
  streamBodyArgs,
  type StreamId,
} from "../../../src/client/index.js";
import type { ComponentApi } from "../../../src/component/_generated/component.js";
import { tokens } from "../../../test/support/story.js";
import { sentence } from "../../load/sentences.js";

const components = componentsGeneric() as unknown as {
  persistentTextStreaming: ComponentApi;
};

const streaming = new PersistentTextStreaming(
  components.persistentTextStreaming,
);

export const create = mutationGeneric({
  args: {},
  handler: (ctx) => streaming.createStream(ctx),
});

export const remove = mutationGeneric({
  args: { streamId: StreamIdValidator },
  returns: v.null(),
  handler: async (ctx, { streamId }) => {
    await streaming.deleteStream(ctx, streamId as StreamId);
    return null;
  },
});

export const body = queryGeneric({
  args: { streamId: StreamIdValidator },
  handler: (ctx, { streamId }) =>
    streaming.getStreamBody(ctx, streamId as StreamId),
});

export const page = queryGeneric({
  args: streamBodyArgs,
  handler: (ctx, { streamId, from }) =>
    streaming.getStreamBody(ctx, streamId, from),
});

export const http = httpRouter();

/** The URL says how many `sentences`, and how many ms from one to the next (`every`). */
http.route({
  path: "/write",
  method: "POST",
  handler: httpActionGeneric(async (ctx, request) => {
    const { streamId } = (await request.json()) as { streamId: StreamId };
    const { searchParams } = new URL(request.url);
    const sentences = Number(searchParams.get("sentences"));
    const every = Number(searchParams.get("every"));
    return await streaming.stream(
      ctx,
      request,
      streamId,
      async (_ctx, _request, _streamId, append) => {
        const begin = Date.now();
        for (let i = 0; i < sentences; i++) {
          const wait = begin + i * every - Date.now();
          if (wait > 0) await new Promise((goOn) => setTimeout(goOn, wait));
          for (const token of tokens(sentence(streamId, i, Date.now()))) {
            await append(token);
          }
        }
      },
    );
  }),
});

http.route({
  path: "/resume",
  method: "GET",
  handler: httpActionGeneric(async (ctx, request) => {
    const streamId = new URL(request.url).searchParams.get("streamId");
    return await streaming.resume(ctx, request, streamId as StreamId);
  }),
});
