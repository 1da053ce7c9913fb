import {
  httpRouter,
  makeFunctionReference,
  type GenericActionCtx,
} from "convex/server";
import type { UIMessageChunk } from "ai";
import { encodeUIMessageStream } from "../../../src/ai/index.js";
import type { WriteCall } from "../../../src/client/index.js";
import { story, tokens } from "../story.js";
import { lineStreaming, streaming } from "./chat.js";

const noteRequest = makeFunctionReference<"mutation">("chat:noteRequest");
const noteRun = makeFunctionReference<"mutation">("chat:noteRun");
const wentOn = makeFunctionReference<"query", { streamId: string }, boolean>(
  "chat:wentOn",
);

const pause = (ms: number) => new Promise((goOn) => setTimeout(goOn, ms));
const optionsOf = ({ url }: Request) => {
  const { searchParams } = new URL(url);
  return (name: string) => Number(searchParams.get(name) ?? NaN);
};

/**
 * Writes tokens. Parameters in the URL control the writer:
 *
 * - `delay`: how long (ms) to pause after each token.
 * - `failAt`: throw at the token with this number.
 * - `hang`: before this token, wait for the signal.
 * - `gate`: before this token, wait until the test calls `chat:goOn`.
 */
async function* written(
  tokens: string[],
  // As registerRoutes has it.
  // eslint-disable-next-line @typescript-eslint/no-explicit-any
  ctx: GenericActionCtx<any>,
  { streamId, request, signal }: WriteCall,
) {
  await ctx.runMutation(noteRun, { streamId });
  const option = optionsOf(request);
  for (const [i, token] of tokens.entries()) {
    if (i === option("failAt")) throw new Error("The model broke off.");
    if (i === option("hang")) {
      await new Promise((goOn) => signal.addEventListener("abort", goOn));
    }
    while (i === option("gate") && !signal.aborted) {
      if (await ctx.runQuery(wentOn, { streamId })) break;
      await pause(20);
    }
    yield token;
    if (option("delay") > 0) await pause(option("delay"));
  }
}

const http = httpRouter();
export default http;

/** Writes a story of `sentences`, in tokens of `size` (UTF-16 code units; 5 if not given). */
streaming.registerRoutes(http, {
  path: "/write",
  authorize: async (ctx, { streamId, request: { headers }, operation }) => {
    if (operation === "read") return;
    await ctx.runMutation(noteRequest, {
      streamId,
      authorization: headers.get("Authorization") ?? "",
      extra: headers.get("X-Extra") ?? "",
    });
  },
  write(ctx, call) {
    const option = optionsOf(call.request);
    const text = story(option("sentences"));
    return written(tokens(text, option("size") || undefined), ctx, call);
  },
});

/** Writes a `reply` for the AI SDK's `useChat`, character by character, or asks for a `tool`. */
lineStreaming.registerRoutes(http, {
  path: "/chat",
  authorize: "public",
  write(ctx, call) {
    const { searchParams } = new URL(call.request.url);
    const reply = [...(searchParams.get("reply") ?? "")];
    const id = "1";
    async function* chunks(): AsyncGenerator<UIMessageChunk, void> {
      yield { type: "start" };
      yield { type: "start-step" };
      if (searchParams.has("tool")) {
        const tool = { toolCallId: "call", toolName: "place", input: {} };
        yield { type: "tool-input-available", ...tool };
      } else {
        yield { type: "text-start", id };
        for await (const delta of written(reply, ctx, call)) {
          yield { type: "text-delta", id, delta };
        }
        yield { type: "text-end", id };
      }
      yield { type: "finish-step" };
      yield { type: "finish" };
    }
    return encodeUIMessageStream(chunks());
  },
});
