import {
  httpActionGeneric as httpAction,
  httpRouter,
  makeFunctionReference,
} from "convex/server";
import type { StreamId } from "../../client/index.js";
import { story, tokens } from "../story.js";
import { streaming } from "./chat.js";

const cors = {
  "Access-Control-Allow-Origin": "*",
  "Access-Control-Allow-Headers": "Content-Type, Authorization, X-Extra",
};
const noteRequest = makeFunctionReference<"mutation">("chat:noteRequest");
const noteRun = makeFunctionReference<"mutation">("chat:noteRun");

/**
 * Writes a story. The URL says how: `sentences`, `delay` (ms between tokens),
 * `size` (of a token, in UTF-16 code units; 5 if not given),
 * `failAt` (token at which the writer throws), `hang` (token after which it
 * waits for its signal), `status` (answers that, and writes nothing), `bom`
 * (the text begins with U+FEFF).
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

const http = httpRouter();
http.route({ path: "/write", method: "POST", handler: write });
http.route({
  path: "/write",
  method: "OPTIONS",
  handler: httpAction(() =>
    Promise.resolve(new Response(null, { headers: cors })),
  ),
});
export default http;
