import {
  vStreamId,
  vStreamStatus,
  type StreamStatus,
} from "@convex-dev/persistent-text-streaming";
import { v, type Infer } from "convex/values";
import { internal } from "./_generated/api";
import {
  internalQuery,
  mutation,
  query,
  type QueryCtx,
} from "./_generated/server";
import {
  messageOfStream,
  noReply,
  ownConversation,
  ownMessage,
  ownMessageOfStream,
  refusal,
  viewer,
} from "./access";
import {
  checkedPrompt,
  conversationFor,
  createReply,
  earlierReplies,
  latestMessages,
  messagesBefore,
  replaceReply,
  statusOf,
  type Writer,
} from "./messages";
import { FALLBACK_MS } from "./limits";
import { generation } from "./schema";
import { lineStreaming } from "./streaming";

/*
 * A conversation with the assistant, whose page is built on the AI SDK's `useChat`.
 * It is kept as a chat's is: what the user wrote is a document, and what was
 * answered is the text of a stream. The text is the UI message stream of the AI
 * SDK, line by line: reasoning, tool calls and their results, and prose.
 *
 * Reading a reply, stopping it and deleting the conversation are the chat's own
 * functions.
 */

/**
 * The turns of a conversation, the oldest first; `null` if there is no such
 * conversation. What the replies say is not here: see `chat.getStreamBody`.
 */
export const listTurns = query({
  args: { conversationId: v.string() },
  returns: v.union(
    v.null(),
    v.array(
      v.object({
        _id: v.id("userMessages"),
        messageId: v.string(),
        prompt: v.string(),
        streamId: vStreamId,
        generation,
        status: vStreamStatus,
        /** Those that retries have replaced, the oldest first. */
        earlierStreamIds: v.array(vStreamId),
      }),
    ),
  ),
  handler: async (ctx, args) => {
    const conversation = await ownConversation(
      ctx,
      args.conversationId,
      "assistant",
    );
    if (conversation === null) return null;
    const messages = await latestMessages(ctx, conversation._id);
    const turns = messages.map(async (message) => ({
      _id: message._id,
      messageId: message.assistant?.messageId ?? message._id,
      prompt: message.prompt,
      streamId: message.responseStreamId,
      generation: message.assistant?.generation ?? ("request" as const),
      status: await statusOf(ctx, message),
      earlierStreamIds: (await earlierReplies(ctx, message._id)).map(
        ({ streamId }) => streamId,
      ),
    }));
    return await Promise.all(turns);
  },
});

/**
 * Begins a turn: adds the message and creates the stream that will answer it. In
 * the background modes the model is asked whatever becomes of the browser, for the
 * action is scheduled in the same transaction; else the browser asks for it.
 */
export const send = mutation({
  args: {
    prompt: v.string(),
    /** The message's id in `useChat`, so that every window knows it by the same. */
    messageId: v.string(),
    generation,
    /** Without it, a new conversation begins. */
    conversationId: v.optional(v.string()),
  },
  returns: v.object({
    conversationId: v.id("conversations"),
    streamId: vStreamId,
  }),
  handler: async (ctx, args) => {
    const prompt = checkedPrompt(args.prompt);
    const conversationId = await conversationFor(
      ctx,
      "assistant",
      prompt,
      args,
    );
    const last = (await latestMessages(ctx, conversationId)).at(-1);
    // Two windows may send at the same time. One turn then follows the other.
    if (last !== undefined && isLive(await statusOf(ctx, last))) {
      throw refusal(
        "busy",
        "The reply to the last message is still being written. Wait for its end, or stop it.",
      );
    }
    const reply = await createReply(
      ctx,
      conversationId,
      ...writerFor(args.generation),
    );
    await ctx.db.insert("userMessages", {
      owner: await viewer(ctx),
      conversationId,
      prompt,
      ...reply,
      assistant: { messageId: args.messageId, generation: args.generation },
    });
    return { conversationId, streamId: reply.responseStreamId };
  },
});

/** Answers a message again, in the same place. The replaced reply can still be read. */
export const retry = mutation({
  args: { messageId: v.id("userMessages") },
  returns: v.object({ streamId: vStreamId }),
  handler: async (ctx, args) => {
    const message = await ownMessage(ctx, args.messageId);
    if (message?.assistant === undefined) {
      throw refusal("unknown_message", "This message is gone.");
    }
    const writer = writerFor(message.assistant.generation);
    const streamId = await replaceReply(ctx, message, ...writer);
    return { streamId };
  },
});

/**
 * The background writer of a reply, and its delay (ms). If the browser asks for the
 * reply, it is only the fallback.
 */
function writerFor(where: Infer<typeof generation>): [Writer, number] {
  switch (where) {
    case "request":
      return [internal.writers.assistant, FALLBACK_MS];
    case "action":
      return [internal.writers.assistant, 0];
    case "node":
      return [internal.assistantNode.generate, 0];
  }
}

/**
 * The access rule for the assistant's routes. To read and stop, the page uses the
 * chat's functions.
 */
export const { authorizeStream } = lineStreaming.hookAPI({
  authorize: async (ctx: QueryCtx, { streamId }) => {
    const message = await ownMessageOfStream(ctx, streamId);
    if (message?.assistant === undefined) throw noReply();
  },
});

const turn = v.object({
  messageId: v.string(),
  prompt: v.string(),
  streamId: vStreamId,
  /** The saved text of the reply so far. */
  reply: v.string(),
});
export type Turn = Infer<typeof turn>;

/**
 * The turns that lead up to a stream's reply, ending with the one to answer; `null`
 * if it is gone. It does not check the caller, because a scheduled action has no
 * user.
 */
export const history = internalQuery({
  args: { streamId: vStreamId },
  returns: v.union(v.null(), v.array(turn)),
  handler: async (ctx, args) => {
    const last = await messageOfStream(ctx, args.streamId);
    if (last === null) return null;
    const turns: Turn[] = [];
    for (const message of [...(await messagesBefore(ctx, last)), last]) {
      const streamId = message.responseStreamId;
      const { text } = await lineStreaming.getStreamBody(ctx, streamId);
      turns.push({
        messageId: message.assistant?.messageId ?? message._id,
        prompt: message.prompt,
        streamId,
        reply: text,
      });
    }
    return turns;
  },
});

function isLive(status: StreamStatus): boolean {
  return status === "pending" || status === "streaming";
}
