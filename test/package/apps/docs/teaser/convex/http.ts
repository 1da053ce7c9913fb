// convex/http.ts
import { httpRouter } from "convex/server";
import { internal } from "./_generated/api";
import { streaming } from "./chat";
import { reply } from "./model";

const http = httpRouter();

streaming.registerRoutes(http, {
  path: "/chat",
  authorize: internal.chat.authorizeStream,
  write: async function* (ctx, { streamId, signal }) {
    const prompt = await ctx.runQuery(internal.chat.getPrompt, { streamId });
    yield* reply(prompt, signal); // your model's tokens
  },
});

export default http;
