import {
  httpActionGeneric as httpAction,
  httpRouter,
  makeFunctionReference,
} from "convex/server";
import type { StreamId } from "../../../src/client/index.js";
import { story, storyLines, tokens } from "../story.js";
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
 * U+FEFF), `lines` (`ndjson` or `sse`: the sentences as lines, saved by lines).
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

  const lines = url.searchParams.get("lines") as "ndjson" | "sse" | null;
  const text = lines
    ? storyLines(option("sentences"), lines)
    : (url.searchParams.has("bom") ? "\uFEFF" : "") +
      story(option("sentences"));
  const response = await (lines ? lineStreaming : streaming).stream(
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

/** Brings a stream to whoever asks for it with GET: what is saved, then what comes. */
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
export default http;
