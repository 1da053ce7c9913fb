// convex/http.ts
import { openai } from "@ai-sdk/openai";
import { encodeUIMessageStream } from "@convex-dev/persistent-text-streaming/ai";
import { streamText } from "ai";
import { httpRouter } from "convex/server";
import { internal } from "./_generated/api";
import { streaming } from "./chat";

const http = httpRouter();

streaming.registerRoutes(http, {
  path: "/chat",
  authorize: internal.chat.authorizeStream,
  write: async function* (ctx, { streamId, signal }) {
    const prompt = await ctx.runQuery(internal.chat.getPrompt, { streamId });
    const result = streamText({
      model: openai("gpt-4.1-mini"),
      prompt: prompt ?? "",
      abortSignal: signal,
    });
    yield* encodeUIMessageStream(result.toUIMessageStream());
  },
});

export default http;
