import {
  PersistentTextStreaming,
  StreamIdValidator,
  streamBodyArgs,
  type BackgroundWriter,
  type FlushBoundary,
  type FlushOptions,
  type PersistentTextStreamingOptions,
  type StreamBody,
  type StreamId,
  type StreamPage,
  type StreamStatus,
  type StreamWriter,
} from "@convex-dev/persistent-text-streaming";
import { components } from "./_generated/api.js";
import {
  httpAction,
  internalAction,
  mutation,
  query,
  type ActionCtx,
} from "./_generated/server.js";

const boundary: FlushBoundary = (buffered) => buffered.endsWith("\n\n");
const flush: FlushOptions = { boundary, maxChars: 500, maxDelayMs: 300 };
const options: PersistentTextStreamingOptions = { flush };

export const streaming = new PersistentTextStreaming(
  components.persistentTextStreaming,
  options,
);
export const lines = new PersistentTextStreaming(
  components.persistentTextStreaming,
  { flush: "line" },
);

export const getPage = query({
  args: streamBodyArgs,
  handler: (ctx, { streamId, from }) =>
    streaming.getStreamBody(ctx, streamId as StreamId, from),
});

export const readOn = query({
  args: { streamId: StreamIdValidator },
  handler: async (ctx, { streamId }): Promise<number> => {
    const id = streamId as StreamId;
    const whole: StreamBody = await streaming.getStreamBody(ctx, id);
    const page: StreamPage = await streaming.getStreamBody(ctx, id, 0);
    const live: StreamStatus[] = ["pending", "streaming"];
    return live.includes(whole.status) ? page.from : page.next;
  },
});

export const stop = mutation({
  args: { streamId: StreamIdValidator },
  handler: (ctx, { streamId }) =>
    streaming.abortStream(ctx, streamId as StreamId),
});

async function* tokens(signal: AbortSignal): AsyncGenerator<string> {
  for (const token of ["Hi ", "there!"]) {
    if (signal.aborted) return;
    yield await Promise.resolve(token);
  }
}

const generator: StreamWriter<ActionCtx> = async function* (
  _ctx,
  _request,
  _streamId,
  _append,
  signal,
) {
  yield* tokens(signal);
};

export const write = httpAction(async (ctx, request) => {
  const streamId = "…" as StreamId;
  const inline = await streaming.stream(
    ctx,
    request,
    streamId,
    async function* (ctx, request, streamId, append, signal) {
      await ctx.runQuery(components.persistentTextStreaming.lib.read, {
        streamId,
      });
      await append(request.url);
      yield* tokens(signal);
    },
  );
  return inline.ok
    ? inline
    : streaming.stream(ctx, request, streamId, generator);
});

export const readOverHttp = httpAction(async (ctx, request) =>
  streaming.resume(ctx, request, "…" as StreamId, { from: 12 }),
);

const inBackground: BackgroundWriter = (_append, signal) => tokens(signal);

export const answer = internalAction({
  args: { streamId: StreamIdValidator },
  handler: async (ctx, { streamId }) => {
    await streaming.generate(ctx, streamId as StreamId, inBackground);
    await streaming.generate(ctx, streamId as StreamId, async (append) => {
      await append("All at once.");
    });
  },
});
