import { httpActionGeneric, httpRouter } from "convex/server";
import type { StreamId } from "../../../src/client/index.js";
import { streaming } from "../../support/app/chat.js";
import { writers } from "./writers.js";

/** What kills an action by itself. */
const aborts: Record<string, (controller: AbortController) => void> = {
  once: (controller) => controller.abort(),
  twice: (controller) => {
    controller.abort();
    controller.abort();
  },
};

const http = httpRouter();
http.route({
  path: "/write",
  method: "POST",
  handler: httpActionGeneric(async (ctx, request) => {
    const { streamId, writer } = (await request.json()) as {
      streamId: StreamId;
      writer: string;
    };
    return streaming.stream(ctx, request, streamId, (...args) =>
      writers[writer]!(args[3], args[4]),
    );
  }),
});
http.route({
  path: "/abort",
  method: "POST",
  handler: httpActionGeneric(async (_ctx, request) => {
    const how = await request.text();
    const controller = new AbortController();
    const { signal } = controller;
    await fetch(`${process.env.OPENAI_BASE_URL}/models`, { signal });
    aborts[how]!(controller);
    await new Promise((resolve) => setTimeout(resolve, 50));
    return new Response("It survived.");
  }),
});
export default http;
