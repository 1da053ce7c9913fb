import type { StreamId } from "@convex-dev/persistent-text-streaming";
import { corsRouter } from "convex-helpers/server/cors";
import { httpRouter } from "convex/server";
import { internal } from "./_generated/api";
import { httpAction } from "./_generated/server";
import { reply } from "./model";
import { streaming } from "./streaming";

/**
 * Generates a reply: streams it to whoever asks, and saves it as it goes.
 *
 * A stream id alone opens nothing. The caller's token, checked by Convex before
 * this runs, must be that of the stream's owner. (`ctx.auth` is the same in the
 * functions that an action runs.)
 */
const chatStream = httpAction(async (ctx, request) => {
  const body: unknown = await request.json().catch(() => null);
  const streamId = streamIdOf(body);
  if (streamId === null) {
    return Response.json(
      { error: 'The body must be JSON: {"streamId": "…"}.' },
      { status: 400 },
    );
  }
  const messages = await ctx.runQuery(internal.chat.history, { streamId });
  if (messages === null) {
    return Response.json(
      { error: "This reply is gone, or is not yours." },
      { status: 404 },
    );
  }
  return await streaming.stream(
    ctx,
    request,
    streamId,
    (_ctx, _request, _streamId, _append, signal) => reply(messages, signal),
  );
});

function streamIdOf(body: unknown): StreamId | null {
  if (typeof body !== "object" || body === null) return null;
  if (!("streamId" in body) || typeof body.streamId !== "string") return null;
  return body.streamId as StreamId;
}

const http = httpRouter();

// The page and the functions have different origins, so a browser asks first
// (OPTIONS); `corsRouter` answers. Name your own site in `allowedOrigins`.
corsRouter(http, {
  allowedOrigins: ["*"],
  allowedHeaders: ["Content-Type", "Authorization"],
}).route({ path: "/chat-stream", method: "POST", handler: chatStream });

export default http;
