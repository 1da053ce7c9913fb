import {
  httpActionGeneric as httpAction,
  httpRouter,
  makeFunctionReference,
} from "convex/server";
import type { UIMessageChunk } from "ai";
import { encodeUIMessageStream } from "../../../src/ai/index.js";
import type { StreamId } from "../../../src/client/index.js";
import { story, tokens } from "../story.js";
import { lineStreaming, streaming } from "./chat.js";

const cors = {
  "Access-Control-Allow-Origin": "*",
  "Access-Control-Allow-Headers": "Content-Type, Authorization, X-Extra",
};
const noteRequest = makeFunctionReference<"mutation">("chat:noteRequest");
const noteRun = makeFunctionReference<"mutation">("chat:noteRun");
const wentOn = makeFunctionReference<"query", { streamId: string }, boolean>(
  "chat:wentOn",
);

/**
 * Writes a story. The URL says how: `sentences`, `delay` (ms between tokens),
 * `size` (of a token, in UTF-16 code units; 5 if not given),
 * `failAt` (token at which the writer throws), `hang` (token after which it
 * waits for its signal), `gate` (token before which it waits for `chat:goOn`),
 * `status` (answers that, and writes nothing), `bom` (the text begins with
 * U+FEFF).
 */
const write = httpAction(async (ctx, request) => {
  const url = new URL(request.url);
  const option = (name: string) => Number(url.searchParams.get(name) ?? NaN);
  const { streamId } = (await request.json()) as { streamId: StreamId };
  await ctx.runMutation(noteRequest, {
    streamId,
    authorization: request.headers.get("Authorization") ?? "",
    extra: request.headers.get("X-Extra") ?? "",
  });
  const status = option("status");
  if (status > 0) return new Response("refused", { status, headers: cors });

  const text =
    (url.searchParams.has("bom") ? "\uFEFF" : "") + story(option("sentences"));
  const response = await streaming.stream(
    ctx,
    request,
    streamId,
    async (writerCtx, _request, _streamId, append, signal) => {
      await writerCtx.runMutation(noteRun, { streamId });
      const size = option("size") || undefined;
      for (const [i, token] of tokens(text, size).entries()) {
        if (i === option("failAt")) throw new Error("The model broke off.");
        if (i === option("hang")) {
          await new Promise((resolve) =>
            signal.addEventListener("abort", resolve),
          );
        }
        while (
          i === option("gate") &&
          !signal.aborted &&
          !(await writerCtx.runQuery(wentOn, { streamId }))
        ) {
          await new Promise((r) => setTimeout(r, 20));
        }
        await append(token);
        const delay = option("delay");
        if (delay > 0) await new Promise((r) => setTimeout(r, delay));
      }
    },
  );
  for (const [name, value] of Object.entries(cors)) {
    response.headers.set(name, value);
  }
  return response;
});

/** Sends what is saved of a stream, then what comes. */
const resume = httpAction(async (ctx, request) => {
  const streamId = new URL(request.url).searchParams.get("streamId");
  const response = await streaming.resume(ctx, request, streamId as StreamId);
  for (const [name, value] of Object.entries(cors)) {
    response.headers.set(name, value);
  }
  return response;
});

const preflight = httpAction(() =>
  Promise.resolve(new Response(null, { headers: cors })),
);

const http = httpRouter();
http.route({ path: "/write", method: "POST", handler: write });
http.route({ path: "/write", method: "OPTIONS", handler: preflight });
http.route({ path: "/resume", method: "GET", handler: resume });
http.route({ path: "/resume", method: "OPTIONS", handler: preflight });
streaming.registerRoutes(http, {
  path: "/stories",
  authorize: "public",
  write: async function* (_ctx, { request }) {
    const search = new URL(request.url).searchParams;
    const delay = Number(search.get("delay") ?? 0);
    for (const token of tokens(story(Number(search.get("sentences"))))) {
      yield token;
      if (delay > 0) await new Promise((r) => setTimeout(r, delay));
    }
  },
});

/**
 * Writes replies for the AI SDK's `useChat`. The URL says which: `reply` (the
 * text), `failAt` (the character at which the writer throws), `gate` (the
 * character before which it waits for `chat:goOn`), `tool` (asks for a tool).
 */
lineStreaming.registerRoutes(http, {
  path: "/chat",
  authorize: "public",
  write: async function* (ctx, { request, streamId, signal }) {
    await ctx.runMutation(noteRun, { streamId });
    const search = new URL(request.url).searchParams;
    const gate = Number(search.get("gate") ?? NaN);
    const failAt = Number(search.get("failAt") ?? NaN);
    async function* chunks(): AsyncGenerator<UIMessageChunk, void> {
      yield { type: "start" };
      yield { type: "start-step" };
      if (search.has("tool")) {
        yield {
          type: "tool-input-available",
          toolCallId: "call",
          toolName: "place",
          input: {},
        };
      } else {
        yield { type: "text-start", id: "1" };
        for (const [i, delta] of [...(search.get("reply") ?? "")].entries()) {
          if (i === failAt) throw new Error("The model broke off.");
          while (i === gate && !signal.aborted) {
            if (await ctx.runQuery(wentOn, { streamId })) break;
            await new Promise((r) => setTimeout(r, 20));
          }
          yield { type: "text-delta", id: "1", delta };
        }
        yield { type: "text-end", id: "1" };
      }
      yield { type: "finish-step" };
      yield { type: "finish" };
    }
    yield* encodeUIMessageStream(chunks());
  },
});
export default http;
