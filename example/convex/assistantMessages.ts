import {
  convertToModelMessages,
  pruneMessages,
  readUIMessageStream,
  type InferUITools,
  type ModelMessage,
  type UIDataTypes,
  type UIMessage,
  type UIMessageChunk,
} from "ai";
import type { Turn } from "./assistant";
import type { tools } from "./assistantModel";

/** A message as `useChat` has it. */
export type AssistantMessage = UIMessage<
  { error?: string },
  UIDataTypes,
  InferUITools<typeof tools>
>;

/**
 * The message that a saved text holds, however far it got: of a reply that was
 * stopped or broke off, what there is.
 */
export async function messageOf(
  streamId: string,
  text: string,
): Promise<AssistantMessage> {
  const stream = new ReadableStream<UIMessageChunk>({
    start(controller) {
      // The last line may be half of one, and says nothing then.
      for (const line of text.split("\n").slice(0, -1)) {
        if (!line.startsWith("data: {")) continue;
        const chunk = JSON.parse(line.slice("data: ".length)) as UIMessageChunk;
        controller.enqueue(chunk);
      }
      controller.close();
    },
  });
  let message: AssistantMessage = {
    id: streamId,
    role: "assistant",
    parts: [],
  };
  let error: string | undefined;
  const states = readUIMessageStream<AssistantMessage>({
    message,
    stream,
    onError: (thrown) => {
      error = thrown instanceof Error ? thrown.message : String(thrown);
    },
  });
  for await (const state of states) message = state;
  return error === undefined ? message : { ...message, metadata: { error } };
}

/**
 * A conversation as the model wants it. Of replies that were cut off, a tool call
 * without a result is left out: a model's API refuses those. So is the reasoning:
 * it is for the reader.
 */
export async function modelMessages(turns: Turn[]): Promise<ModelMessage[]> {
  const messages: AssistantMessage[] = [];
  for (const { messageId, prompt, streamId, reply } of turns) {
    messages.push(userMessage(messageId, prompt));
    if (reply !== "") messages.push(await messageOf(streamId, reply));
  }
  return pruneMessages({
    messages: await convertToModelMessages(messages, {
      ignoreIncompleteToolCalls: true,
    }),
    reasoning: "all",
    emptyMessages: "remove",
  });
}

export function userMessage(id: string, text: string): AssistantMessage {
  return { id, role: "user", parts: [{ type: "text", text }] };
}
