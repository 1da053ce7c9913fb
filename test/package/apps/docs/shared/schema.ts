/** The quick start's table, with the fields that some pages add to it. */
import { vStreamId } from "@convex-dev/persistent-text-streaming";
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

const messages = defineTable({
  prompt: v.string(),
  streamId: vStreamId,
  fallback: v.optional(v.id("_scheduled_functions")),
  writing: v.optional(v.boolean()),
  tokens: v.optional(v.number()),
});
export default defineSchema({
  messages: messages.index("byStream", ["streamId"]),
});
