import {
  componentsGeneric,
  httpActionGeneric,
  queryGeneric,
} from "convex/server";
import {
  PersistentTextStreaming,
  streamBodyArgs,
  type StreamId,
} from "../../../src/client/index.js";
import type { ComponentApi } from "../../../src/component/_generated/component.js";
import { streamsApp } from "../streams.js";

const components = componentsGeneric() as unknown as {
  persistentTextStreaming: ComponentApi;
};

const streaming = new PersistentTextStreaming(
  components.persistentTextStreaming,
);

export const { create, body, http } = streamsApp(streaming);

/** For `useStream(…, { incremental: true })`. */
export const page = queryGeneric({
  args: streamBodyArgs,
  handler: (ctx, { streamId, from }) =>
    streaming.getStreamBody(ctx, streamId, from),
});

/** For `readStream`. */
http.route({
  path: "/resume",
  method: "GET",
  handler: httpActionGeneric((ctx, request) => {
    const streamId = new URL(request.url).searchParams.get("streamId");
    return streaming.resume(ctx, request, streamId as StreamId);
  }),
});
