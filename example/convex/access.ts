import type { StreamId } from "@convex-dev/persistent-text-streaming";
import type { Auth } from "convex/server";
import { ConvexError } from "convex/values";
import type { Doc } from "./_generated/dataModel";
import type { QueryCtx } from "./_generated/server";

/**
 * An error that the page shows to the user. It is a `ConvexError`, because production
 * deployments hide the text of all others.
 */
export function refusal(code: string, message: string) {
  return new ConvexError({ code, message });
}

/** The error for a reply that was deleted, and for another user's. */
export function noReply() {
  return refusal("unknown_reply", "This reply is gone, or is not yours.");
}

/**
 * Identifies the caller.
 *
 * A signed-in user is identified by `tokenIdentifier`, which is unique across
 * providers. All callers who have not signed in are "anonymous": on a deployment
 * without auth everyone shares one account, and the page says so. An app with auth
 * throws here instead.
 */
export async function viewer(ctx: { auth: Auth }): Promise<string> {
  const identity = await ctx.auth.getUserIdentity();
  return identity?.tokenIdentifier ?? "anonymous";
}

/*
 * Every function below gives `null` both for what does not exist and for what is
 * another user's: whether an id exists is not for strangers to learn.
 */

export type ConversationKind = "chat" | "assistant";

export async function ownConversation(
  ctx: QueryCtx,
  conversationId: string,
  /** Default: any kind. */
  kind?: ConversationKind,
): Promise<Doc<"conversations"> | null> {
  // The id comes from the address bar, so it can be anything.
  const id = ctx.db.normalizeId("conversations", conversationId);
  const conversation = id && (await ctx.db.get("conversations", id));
  if (conversation?.owner !== (await viewer(ctx))) return null;
  return kind === undefined || kind === kindOf(conversation)
    ? conversation
    : null;
}

export function kindOf(conversation: Doc<"conversations">): ConversationKind {
  return conversation.kind ?? "chat";
}

export async function ownMessage(
  ctx: QueryCtx,
  messageId: string,
): Promise<Doc<"userMessages"> | null> {
  const id = ctx.db.normalizeId("userMessages", messageId);
  const message = id && (await ctx.db.get("userMessages", id));
  return message?.owner === (await viewer(ctx)) ? message : null;
}

/** A stream belongs to the owner of the message that it answers, or answered before a retry. */
export async function ownMessageOfStream(
  ctx: QueryCtx,
  streamId: StreamId,
): Promise<Doc<"userMessages"> | null> {
  const message =
    (await messageOfStream(ctx, streamId)) ??
    (await messageOfEarlierReply(ctx, streamId));
  return message?.owner === (await viewer(ctx)) ? message : null;
}

/** The message that a stream answers, without checking the caller. */
export async function messageOfStream(
  ctx: QueryCtx,
  streamId: StreamId,
): Promise<Doc<"userMessages"> | null> {
  return await ctx.db
    .query("userMessages")
    .withIndex("byStream", (q) => q.eq("responseStreamId", streamId))
    .unique();
}

async function messageOfEarlierReply(ctx: QueryCtx, streamId: StreamId) {
  const earlier = await ctx.db
    .query("earlierReplies")
    .withIndex("byStream", (q) => q.eq("streamId", streamId))
    .unique();
  return earlier && (await ctx.db.get("userMessages", earlier.messageId));
}
