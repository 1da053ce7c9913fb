// convex/http.ts
import { httpRouter } from "convex/server";
import { ConvexError } from "convex/values";
import { internal } from "./_generated/api";
import { streaming } from "./chat";
import { reply } from "./model";

const http = httpRouter();

streaming.registerRoutes(http, {
  path: "/chat",
  authorize: internal.chat.authorizeStream,
  write: async (ctx, { streamId, append, signal }) => {
    const prompt = await ctx.runQuery(internal.chat.getPrompt, { streamId });
    if (prompt === null) throw new ConvexError("This message is gone.");
    let tokens = 0;
    for await (const token of reply(prompt, signal)) {
      await append(token);
      tokens++;
    }
    return { tokens };
  },
});

export default http;
