import type { StreamId } from "@convex-dev/persistent-text-streaming";
import { corsRouter } from "convex-helpers/server/cors";
import { httpRouter } from "convex/server";
import { internal } from "./_generated/api";
import { httpAction, type ActionCtx } from "./_generated/server";
import { asEvents } from "./assistantMessages";
import { answer } from "./assistantModel";
import { reply } from "./model";
import { lineStreaming, streaming } from "./streaming";

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
  if (messages === null) return notFound();
  return await streaming.stream(
    ctx,
    request,
    streamId,
    (_ctx, _request, _streamId, _append, signal) => reply(messages, signal),
  );
});

/*
 * The assistant, whose page is built on the AI SDK's `useChat`: POST has a reply
 * written, GET reads one that is or was being written, whoever does so.
 */

const assistantReply = httpAction(async (ctx, request) => {
  const streamId = streamIdOf(await request.json().catch(() => null));
  if (streamId === null || !(await isOwn(ctx, streamId))) return notFound();
  const turns = await ctx.runQuery(internal.assistant.history, { streamId });
  if (turns === null) return notFound();
  return asEvents(
    await lineStreaming.stream(
      ctx,
      request,
      streamId,
      (_ctx, _request, _streamId, _append, signal) => answer(turns, signal),
    ),
  );
});

const assistantResume = httpAction(async (ctx, request) => {
  const { searchParams } = new URL(request.url);
  const streamId = searchParams.get("streamId") as StreamId | null;
  if (streamId === null || !(await isOwn(ctx, streamId))) return notFound();
  return asEvents(await lineStreaming.resume(ctx, request, streamId));
});

function isOwn(
  ctx: Pick<ActionCtx, "runQuery">,
  streamId: StreamId,
): Promise<boolean> {
  return ctx.runQuery(internal.assistant.isOwn, { streamId });
}

function notFound(): Response {
  return Response.json(
    { error: "This reply is gone, or is not yours." },
    { status: 404 },
  );
}

function streamIdOf(body: unknown): StreamId | null {
  if (typeof body !== "object" || body === null) return null;
  if (!("streamId" in body) || typeof body.streamId !== "string") return null;
  return body.streamId as StreamId;
}

const http = httpRouter();

// The page and the functions have different origins, so a browser asks first
// (OPTIONS); `corsRouter` answers. Name your own site in `allowedOrigins`.
const cors = corsRouter(http, {
  allowedOrigins: ["*"],
  allowedHeaders: ["Content-Type", "Authorization"],
  // None beyond those that `resume()` names itself.
  exposedHeaders: [],
});
cors.route({ path: "/chat-stream", method: "POST", handler: chatStream });
cors.route({ path: "/assistant", method: "POST", handler: assistantReply });
cors.route({ path: "/assistant", method: "GET", handler: assistantResume });

export default http;
