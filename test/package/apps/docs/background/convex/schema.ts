// convex/schema.ts
import { vStreamId } from "@convex-dev/persistent-text-streaming";
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  messages: defineTable({
    prompt: v.string(),
    streamId: vStreamId,
    fallback: v.optional(v.id("_scheduled_functions")),
  }).index("byStream", ["streamId"]),
});
