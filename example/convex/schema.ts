import { StreamIdValidator } from "@convex-dev/persistent-text-streaming";
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

export default defineSchema({
  conversations: defineTable({
    owner: v.string(),
    title: v.string(),
    lastMessageAt: v.number(),
  }).index("byOwner", ["owner", "lastMessageAt"]),

  // What the user wrote. The reply is not here: it is the stream's text, which
  // the component keeps.
  userMessages: defineTable({
    owner: v.string(),
    conversationId: v.id("conversations"),
    prompt: v.string(),
    responseStreamId: StreamIdValidator,
  })
    .index("byConversation", ["conversationId"])
    .index("byStream", ["responseStreamId"]),
});
