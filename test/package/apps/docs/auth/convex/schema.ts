// convex/schema.ts
import { vStreamId } from "@convex-dev/persistent-text-streaming";
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  messages: defineTable({
    owner: v.string(),
    prompt: v.string(),
    streamId: vStreamId,
  }).index("byStream", ["streamId"]),
});
