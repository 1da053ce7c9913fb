/** The app that both packages run: what their READMEs tell an app to have. */
import { mutationGeneric, queryGeneric } from "convex/server";
import { v } from "convex/values";
import type {
  PersistentTextStreaming,
  StreamId,
} from "../../src/client/index.js";
import { writeRouter } from "./writer.js";

/** @param streaming This package's, or the published one's, which can do as much. */
export function streamsApp(
  streaming: Pick<
    PersistentTextStreaming,
    "createStream" | "getStreamBody" | "stream"
  >,
) {
  return {
    create: mutationGeneric({
      args: {},
      handler: (ctx) => streaming.createStream(ctx),
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
