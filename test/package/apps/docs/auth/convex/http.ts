// convex/http.ts
import { httpRouter } from "convex/server";
import { internal } from "./_generated/api";
import { streaming } from "./chat";
import { reply } from "./model";

const http = httpRouter();

streaming.registerRoutes(http, {
  path: "/chat",
  authorize: internal.chat.authorizeStream,
  allowedOrigins: ["https://app.example.com", "http://localhost:5173"],
  write: async function* (ctx, { streamId, signal }) {
    const prompt = await ctx.runQuery(internal.chat.getPrompt, { streamId });
    if (prompt !== null) yield* reply(prompt, signal);
  },
});

export default http;
