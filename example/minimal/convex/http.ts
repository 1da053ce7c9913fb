// convex/http.ts
import { httpRouter } from "convex/server";
import OpenAI from "openai";
import { internal } from "./_generated/api";
import { streaming } from "./chat";

const http = httpRouter();
streaming.registerRoutes(http, {
  path: "/chat",
  authorize: internal.chat.authorizeStream, // Runs before every read and write.
  write: async function* (ctx, { streamId, signal }) {
    const content = await ctx.runQuery(internal.chat.getPrompt, { streamId });
    const chunks = await new OpenAI().chat.completions.create(
      { model: "gpt-5-mini", messages: [{ role: "user", content }], stream: true },
      { signal },
    );
    let finished = false;
    for await (const { choices } of chunks) {
      yield choices[0]?.delta.content ?? "";
      finished ||= choices[0]?.finish_reason === "stop";
    }
    if (!finished) throw new Error("The model's reply was cut off.");
  },
});
export default http;
