import {
  PersistentTextStreaming,
  streamBodyArgs,
  type FlushBoundary,
  type FlushOptions,
  type PersistentTextStreamingOptions,
  type StreamWriter,
} from "@convex-dev/persistent-text-streaming";
import { components } from "./_generated/api.js";
import { httpAction, query, type ActionCtx } from "./_generated/server.js";

const boundary: FlushBoundary = (buffered) => buffered.endsWith("\n\n");
const flush: FlushOptions = { boundary, maxChars: 500, maxDelayMs: 300 };
const options: PersistentTextStreamingOptions = { flush };
const { persistentTextStreaming } = components;
export const streaming = new PersistentTextStreaming(
  persistentTextStreaming,
  options,
);

export const getPage = query({
  args: streamBodyArgs,
  handler: (ctx, { streamId, from }) =>
    streaming.getStreamBody(ctx, streamId, from),
});

export async function* tokens(signal: AbortSignal): AsyncGenerator<string> {
  for (const token of ["Hi ", "there!"]) {
    if (signal.aborted) return;
    yield await Promise.resolve(token);
  }
}

const generator: StreamWriter<ActionCtx> = async function* (
  ctx,
  _request,
  streamId,
  append,
  signal,
) {
  await append(
    await ctx.runQuery(persistentTextStreaming.lib.getStreamStatus, {
      streamId,
    }),
  );
  yield* tokens(signal);
};
export const write = httpAction(async (ctx, request) => {
  const streamId = await streaming.createStream(ctx);
  return streaming.stream(ctx, request, streamId, generator);
});
