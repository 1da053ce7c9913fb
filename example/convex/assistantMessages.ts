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

/** A message in `useChat`'s format. */
export type AssistantMessage = UIMessage<
  { error?: string },
  UIDataTypes,
  InferUITools<typeof tools>
>;

/**
 * The message in a saved text. If the reply was stopped or broke off, it has
 * everything written until then.
 */
export async function messageOf(
  streamId: string,
  text: string,
): Promise<AssistantMessage> {
  const stream = new ReadableStream<UIMessageChunk>({
    start(controller) {
      // The last line may be half a line, which is skipped.
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
 * A conversation in the model's format. It leaves out tool calls without a result,
 * which models' APIs refuse, and reasoning, which is for the reader.
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
