import { httpRouter } from "convex/server";
import { internal } from "./_generated/api";
import { lineStreaming, streaming } from "./streaming";
import { assistantReply, chatReply } from "./writers";

/*
 * The page posts the id of a stream to have a reply written, and reads along.
 * GET reads a reply that is being written, or was, whoever started it.
 *
 * An id alone opens nothing: the caller's token, which Convex checks before any
 * of this runs, must be that of the stream's owner. The writers go by the id
 * alone and never ask who is calling, because a scheduled action may be.
 *
 * Name your own site in `allowedOrigins`.
 */
const http = httpRouter();

streaming.registerRoutes(http, {
  path: "/chat-stream",
  authorize: internal.chat.authorizeStream,
  write: (ctx, { streamId, signal }) => chatReply(ctx, streamId, signal),
});

/** The assistant, whose page is built on the AI SDK's `useChat`. */
lineStreaming.registerRoutes(http, {
  path: "/assistant",
  authorize: internal.assistant.authorizeStream,
  write: (ctx, { streamId, signal }) => assistantReply(ctx, streamId, signal),
});

export default http;
