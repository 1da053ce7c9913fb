import { internalActionGeneric } from "convex/server";
import { v } from "convex/values";
import type { StreamId } from "../../../src/client/index.js";
import { streaming } from "../../support/app/chat.js";
import { writers } from "./writers.js";

export * from "../../support/app/chat.js";

const global = globalThis as { appendedInRuntime?: Record<string, number> };
/** How much each background writer has appended. The tests run in the same process. */
export const appended = (global.appendedInRuntime ??= {});

export const generate = internalActionGeneric({
  args: { streamId: v.string(), writer: v.string() },
  handler: async (ctx, { streamId, writer }) => {
    await streaming.generate(ctx, streamId as StreamId, (append, signal) =>
      writers[writer]!(async (text) => {
        await append(text);
        appended[streamId] = (appended[streamId] ?? 0) + text.length;
      }, signal),
    );
  },
});
