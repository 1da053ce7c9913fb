import {
  vStreamId,
  vStreamStatus,
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
  deleteMessageAndReplies,
  earlierReplies,
  latestMessages,
  messagesBefore,
  replaceReply,
  statusOf,
} from "./messages";
import { streaming } from "./streaming";

const modelMessage = v.object({
  role: v.union(v.literal("user"), v.literal("assistant")),
  content: v.string(),
});
export type ModelMessage = Infer<typeof modelMessage>;

/**
 * The messages of a conversation, oldest first; `null` if there is no such
 * conversation. It includes the replies' statuses, not their texts, so it reruns when
 * a status changes, not for every word.
 */
export const listMessages = query({
  args: { conversationId: v.string() },
  returns: v.union(
    v.null(),
    v.array(
      v.object({
        _id: v.id("userMessages"),
        prompt: v.string(),
        responseStreamId: vStreamId,
        status: vStreamStatus,
        /** The replies that Retry has replaced, oldest first. */
        earlierStreamIds: v.array(vStreamId),
      }),
    ),
  ),
  handler: async (ctx, args) => {
    const conversation = await ownConversation(
      ctx,
      args.conversationId,
      "chat",
    );
    if (conversation === null) return null;
    const messages = await latestMessages(ctx, conversation._id);
    return await Promise.all(
      messages.map(async (message) => ({
        _id: message._id,
        prompt: message.prompt,
        responseStreamId: message.responseStreamId,
        status: await statusOf(ctx, message),
        earlierStreamIds: (await earlierReplies(ctx, message._id)).map(
          ({ streamId }) => streamId,
        ),
      })),
    );
  },
});

/**
 * The functions that read and stop replies, and the rule for the routes in `http.ts`:
 * only the owner may. They also serve the assistant's replies, which have their own
 * route for writing.
 */
export const { getStreamBody, abortStream, authorizeStream } =
  streaming.hookAPI({
    authorize: async (ctx: QueryCtx, { streamId, operation }) => {
      const message = await ownMessageOfStream(ctx, streamId);
      const isAssistant = message?.assistant !== undefined;
      if (message === null || (operation === "write" && isAssistant)) {
        throw noReply();
      }
    },
  });

/** Whether a model is connected. Without one, all replies are the same canned text. */
export const hasModel = query({
  args: {},
  returns: v.boolean(),
  handler: () => Promise.resolve(Boolean(process.env.OPENAI_API_KEY)),
});

/**
 * Adds a message and creates the stream that will answer it. The browser that sent
 * it asks `/chat-stream` to write the reply, and reads along. If it does not, because
 * its tab was closed, `writers.chat` writes it.
 */
export const sendMessage = mutation({
  args: {
    prompt: v.string(),
    /** Without it, a new conversation begins. */
    conversationId: v.optional(v.string()),
  },
  returns: v.object({
    conversationId: v.id("conversations"),
    streamId: vStreamId,
  }),
  handler: async (ctx, args) => {
    const prompt = checkedPrompt(args.prompt);
    const owner = await viewer(ctx);
    const conversationId = await conversationFor(ctx, "chat", prompt, args);
    const reply = await createReply(ctx, conversationId, internal.writers.chat);
    await ctx.db.insert("userMessages", {
      owner,
      conversationId,
      prompt,
      ...reply,
    });
    return { conversationId, streamId: reply.responseStreamId };
  },
});

/** Answers a message again, in a new stream. The replaced reply can still be read. */
export const retry = mutation({
  args: { messageId: v.id("userMessages") },
  returns: v.object({ streamId: vStreamId }),
  handler: async (ctx, args) => {
    const message = await ownMessage(ctx, args.messageId);
    // An assistant's reply has its own way to retry.
    if (message === null || message.assistant !== undefined) {
      throw refusal("unknown_message", "This message is gone.");
    }
    const streamId = await replaceReply(ctx, message, internal.writers.chat);
    return { streamId };
  },
});

/** Deletes a message together with its reply. */
export const deleteMessage = mutation({
  args: { messageId: v.id("userMessages") },
  returns: v.null(),
  handler: async (ctx, args) => {
    const message = await ownMessage(ctx, args.messageId);
    if (message !== null) await deleteMessageAndReplies(ctx, message);
    return null;
  },
});

/**
 * The conversation that leads up to a stream's reply, in the model's format; `null`
 * if it is gone. It does not check the caller: anyone who may see a reply may be the
 * one whose request starts the writer.
 */
export const history = internalQuery({
  args: { streamId: vStreamId },
  returns: v.union(v.null(), v.array(modelMessage)),
  handler: async (ctx, args) => {
    const last = await messageOfStream(ctx, args.streamId);
    if (last === null) return null;
    const messages: ModelMessage[] = [];
    for (const { prompt, responseStreamId } of await messagesBefore(
      ctx,
      last,
    )) {
      const reply = await streaming.getStreamBody(ctx, responseStreamId);
      // A reply that failed at once tells the model nothing. The question then stands
      // alone, as it does for the reader.
      messages.push({ role: "user", content: prompt });
      if (reply.text !== "" && reply.status !== "error") {
        messages.push({ role: "assistant", content: reply.text });
      }
    }
    messages.push({ role: "user", content: last.prompt });
    return messages;
  },
});
