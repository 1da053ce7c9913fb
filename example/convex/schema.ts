import { vStreamId } from "@convex-dev/persistent-text-streaming";
import { defineSchema, defineTable } from "convex/server";
import { v } from "convex/values";

/**
 * What runs the model for an assistant's reply: the HTTP action that answers the
 * browser's request, or an action that was scheduled when the message was sent, in
 * Convex's own runtime or in Node.
 */
export const generation = v.union(
  v.literal("request"),
  v.literal("action"),
  v.literal("node"),
);

export default defineSchema({
  conversations: defineTable({
    owner: v.string(),
    title: v.string(),
    lastMessageAt: v.number(),
    /** Not there in a chat, whose replies are plain text. */
    kind: v.optional(v.literal("assistant")),
    /** How many replies are being written in it. */
    writing: v.optional(v.number()),
  }).index("byOwner", ["owner", "lastMessageAt"]),

  // What the user wrote. The reply is not here: it is the stream's text, which
  // the component keeps.
  userMessages: defineTable({
    owner: v.string(),
    conversationId: v.id("conversations"),
    prompt: v.string(),
    responseStreamId: vStreamId,
    /** What writes the reply in the background, if no request does. */
    job: v.optional(v.id("_scheduled_functions")),
    /** In a conversation with the assistant. */
    assistant: v.optional(
      v.object({
        /** The id that the message has in `useChat`. */
        messageId: v.string(),
        generation,
      }),
    ),
  })
    .index("byConversation", ["conversationId"])
    .index("byStream", ["responseStreamId"]),

  // Replies that a retry has replaced. They can still be read.
  earlierReplies: defineTable({
    messageId: v.id("userMessages"),
    streamId: vStreamId,
  })
    .index("byMessage", ["messageId"])
    .index("byStream", ["streamId"]),
});
