import type { FunctionReturnType } from "convex/server";
import { useState } from "react";
import type { api } from "../../convex/_generated/api";
import type { Id } from "../../convex/_generated/dataModel";
import {
  LoadingMessages,
  MessageList,
  Turn,
  UnknownConversation,
} from "../MessageList";
import { Reply } from "./Reply";

export type Message = NonNullable<
  FunctionReturnType<typeof api.chat.listMessages>
>[number];

type MessageActions = {
  onRetry: (messageId: Id<"userMessages">) => void;
  onDelete: (messageId: Id<"userMessages">) => void;
};

export function Conversation(
  props: MessageActions & {
    /** `undefined` while they load, `null` if there is no such conversation. */
    messages: Message[] | null | undefined;
    driven: ReadonlySet<string>;
  },
) {
  if (props.messages === undefined) return <LoadingMessages />;
  if (props.messages === null) return <UnknownConversation newOne="/" />;
  return <Messages {...props} messages={props.messages} />;
}

function Messages(
  props: MessageActions & { messages: Message[]; driven: ReadonlySet<string> },
) {
  const { messages, driven } = props;
  // A reply that is pending when the page loads may have lost its driver to a reload.
  // Asking again is safe: only one writer ever runs.
  const [orphans] = useState(
    () =>
      new Set(
        messages
          .filter(({ status }) => status === "pending")
          .map(({ responseStreamId }) => responseStreamId),
      ),
  );
  const latest = messages.at(-1)?.responseStreamId;

  return (
    <MessageList
      sent={latest !== undefined && driven.has(latest) ? latest : undefined}
      isEmpty={messages.length === 0}
    >
      {messages.map((message) => (
        <Turn key={message._id} prompt={message.prompt}>
          <Reply
            message={message}
            driven={
              driven.has(message.responseStreamId) ||
              orphans.has(message.responseStreamId)
            }
            onRetry={() => props.onRetry(message._id)}
            onDelete={() => props.onDelete(message._id)}
          />
        </Turn>
      ))}
    </MessageList>
  );
}
