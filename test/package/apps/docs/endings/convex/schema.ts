// convex/schema.ts
import { vStreamId } from "@convex-dev/persistent-text-streaming";
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  messages: defineTable({
    prompt: v.string(),
    streamId: vStreamId,
    writing: v.boolean(),
    tokens: v.optional(v.number()),
  })
    .index("byStream", ["streamId"])
    .index("byWriting", ["writing"]),
});
