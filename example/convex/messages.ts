/** Messages of conversations: chats, and those with the assistant. */
import type {
  StreamId,
  StreamStatus,
} from "@convex-dev/persistent-text-streaming";
import type { FunctionReference } from "convex/server";
import { internal } from "./_generated/api";
import type { Doc, Id } from "./_generated/dataModel";
import type { MutationCtx, QueryCtx } from "./_generated/server";
import {
  ownConversation,
  refusal,
  viewer,
  type ConversationKind,
} from "./access";
import {
  FALLBACK_MS,
  MAX_EARLIER_REPLIES,
  MAX_HISTORY,
  MAX_PROMPT_LENGTH,
} from "./limits";
import { streaming } from "./streaming";

/** The trimmed prompt. Throws if it cannot be sent. */
export function checkedPrompt(text: string): string {
  const prompt = text.trim();
  if (prompt === "") {
    throw refusal("empty_message", "There is nothing in this message.");
  }
  if (prompt.length > MAX_PROMPT_LENGTH) {
    throw refusal(
      "message_too_long",
      `This message has ${prompt.length.toLocaleString("en")} characters; at most ${MAX_PROMPT_LENGTH.toLocaleString("en")} can be sent. Shorten it, or send it in parts.`,
    );
  }
  return prompt;
}

/** The conversation for a message: the given one, or a new one. */
export async function conversationFor(
  ctx: MutationCtx,
  kind: ConversationKind,
  prompt: string,
  args: { conversationId?: string },
): Promise<Id<"conversations">> {
  if (args.conversationId === undefined) {
    return await ctx.db.insert("conversations", {
      owner: await viewer(ctx),
      title: titleOf(prompt),
      lastMessageAt: Date.now(),
      kind: kind === "chat" ? undefined : kind,
    });
  }
  const conversation = await ownConversation(ctx, args.conversationId, kind);
  if (conversation === null) {
    throw refusal(
      "unknown_conversation",
      "This conversation does not exist, or is not yours. Start a new one.",
    );
  }
  await ctx.db.patch("conversations", conversation._id, {
    lastMessageAt: Date.now(),
  });
  return conversation._id;
}

/** The beginning of the message, cut between characters (an emoji is several units). */
function titleOf(prompt: string): string {
  const line = prompt.split("\n", 1)[0] ?? "";
  const characters = [...line];
  return characters.length > 60
    ? characters.slice(0, 59).join("").trimEnd() + "…"
    : line;
}

/** The latest messages of a conversation, oldest first. */
export async function latestMessages(
  ctx: QueryCtx,
  conversationId: Id<"conversations">,
): Promise<Doc<"userMessages">[]> {
  const messages = await ctx.db
    .query("userMessages")
    .withIndex("byConversation", (q) => q.eq("conversationId", conversationId))
    .order("desc")
    .take(100);
  return messages.reverse();
}

/** The messages before one in its conversation, as many as the model sees, oldest first. */
export async function messagesBefore(
  ctx: QueryCtx,
  message: Doc<"userMessages">,
): Promise<Doc<"userMessages">[]> {
  const earlier = await ctx.db
    .query("userMessages")
    .withIndex("byConversation", (q) =>
      q
        .eq("conversationId", message.conversationId)
        .lt("_creationTime", message._creationTime),
    )
    .order("desc")
    .take(MAX_HISTORY);
  return earlier.reverse();
}

/** The action that writes a reply in the background. */
export type Writer = FunctionReference<
  "action",
  "internal",
  { streamId: StreamId }
>;

/**
 * Creates the stream of a reply, and makes sure that the reply is written even if the
 * tab closes before it asks for it. Until it ends, its conversation counts it as
 * being written.
 *
 * @returns The fields for the message's document.
 */
export async function createReply(
  ctx: MutationCtx,
  conversationId: Id<"conversations">,
  writer: Writer,
  delayMs = FALLBACK_MS,
) {
  const conversation = await ctx.db.get("conversations", conversationId);
  const writing = (conversation?.writing ?? 0) + 1;
  await ctx.db.patch("conversations", conversationId, { writing });
  const streamId = await streaming.createStream(ctx, {
    onComplete: internal.conversations.onReplyEnd,
    context: { conversationId },
  });
  // By then a request has usually claimed the stream, or ended it: see `onReplyEnd`.
  const job = await ctx.scheduler.runAfter(delayMs, writer, { streamId });
  return { responseStreamId: streamId, job };
}

/** The replies that Retry has replaced, oldest first. */
export async function earlierReplies(
  ctx: QueryCtx,
  messageId: Id<"userMessages">,
): Promise<Doc<"earlierReplies">[]> {
  return await ctx.db
    .query("earlierReplies")
    .withIndex("byMessage", (q) => q.eq("messageId", messageId))
    .collect();
}

/**
 * Gives a message a new stream for its reply. The replaced reply is stopped if
 * necessary, and stays readable.
 */
export async function replaceReply(
  ctx: MutationCtx,
  message: Doc<"userMessages">,
  writer: Writer,
  delayMs?: number,
): Promise<StreamId> {
  const before = message.responseStreamId;
  await streaming.abortStream(ctx, before);
  const { conversationId } = message;
  const reply = await createReply(ctx, conversationId, writer, delayMs);
  await ctx.db.patch("userMessages", message._id, reply);
  await ctx.db.insert("earlierReplies", {
    messageId: message._id,
    streamId: before,
  });
  const earlier = await earlierReplies(ctx, message._id);
  for (const old of earlier.slice(0, -MAX_EARLIER_REPLIES)) {
    await deleteEarlierReply(ctx, old);
  }
  return reply.responseStreamId;
}

/** Deletes a message and all its replies. */
export async function deleteMessageAndReplies(
  ctx: MutationCtx,
  message: Doc<"userMessages">,
): Promise<void> {
  for (const reply of await earlierReplies(ctx, message._id)) {
    await deleteEarlierReply(ctx, reply);
  }
  await streaming.deleteStream(ctx, message.responseStreamId);
  await ctx.db.delete("userMessages", message._id);
}

async function deleteEarlierReply(
  ctx: MutationCtx,
  reply: Doc<"earlierReplies">,
): Promise<void> {
  await ctx.db.delete("earlierReplies", reply._id);
  await streaming.deleteStream(ctx, reply.streamId);
}

/** The status of the reply to a message. Does not read the reply's text. */
export async function statusOf(
  ctx: QueryCtx,
  message: Doc<"userMessages">,
): Promise<StreamStatus> {
  return await streaming.getStreamStatus(ctx, message.responseStreamId);
}
