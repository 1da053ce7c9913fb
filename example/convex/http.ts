import { httpRouter } from "convex/server";
import { internal } from "./_generated/api";
import { lineStreaming, streaming } from "./streaming";
import { assistantReply, chatReply } from "./writers";

/*
 * The page posts the id of a stream to have its reply written, and reads along. GET
 * reads a reply, no matter who started it.
 *
 * An id alone opens nothing: the caller's token, which Convex checks first, must be
 * that of the stream's owner. Writers use only the id and never ask who is calling,
 * because the caller may be a scheduled action.
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
