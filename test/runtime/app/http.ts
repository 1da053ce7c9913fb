import {
  httpActionGeneric,
  httpRouter,
  makeFunctionReference,
} from "convex/server";
import type { StreamId } from "../../../src/client/index.js";
import { streaming } from "../../support/app/chat.js";
import { writers } from "./writers.js";

type Writer = WritableStreamDefaultWriter<Uint8Array>;

async function abortFetch(times: number) {
  const controller = new AbortController();
  const { signal } = controller;
  await fetch(`${process.env.OPENAI_BASE_URL}/models`, { signal });
  for (let i = 0; i < times; i++) controller.abort();
}

/** What happens to an action after its first text. */
export const events: Record<string, (writer: Writer) => unknown> = {
  "its body ends": (writer) => writer.close(),
  "a promise is rejected": () => void Promise.reject(new Error("It is stray.")),
  "a timer throws": () => {
    setTimeout(() => {
      throw new Error("It is stray.");
    });
  },
  "its fetch is aborted": () => abortFetch(1),
  "its fetch is aborted twice": () => abortFetch(2),
  "its client reads nothing": async (writer) => {
    const piece = new Uint8Array(16_384);
    for (let sent = 0; sent < 1000; sent++) await writer.write(piece);
  },
  "it is killed": () => {},
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

const wentOn = makeFunctionReference<"query">("chat:wentOn");
const noteRun = makeFunctionReference<"mutation">("chat:noteRun");

/** Waits for `chat:goOn` after the event, and then notes that it has. */
http.route({
  path: "/act",
  method: "POST",
  handler: httpActionGeneric(async (ctx, request) => {
    const event = await request.text();
    const { readable, writable } = new TransformStream<Uint8Array>();
    void (async () => {
      const writer = writable.getWriter();
      await writer.write(new TextEncoder().encode("text"));
      await events[event]!(writer);
      while (!(await ctx.runQuery(wentOn, { streamId: event }))) {
        await new Promise((resolve) => setTimeout(resolve, 5));
      }
      await ctx.runMutation(noteRun, { streamId: event });
      await writer.close();
    })();
    return new Response(readable);
  }),
});
export default http;
