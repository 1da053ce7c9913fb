import type { FunctionReturnType } from "convex/server";
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
    /** The stream of the last message sent from this page. */
    sent: string | undefined;
  },
) {
  if (props.messages === undefined) return <LoadingMessages />;
  if (props.messages === null) return <UnknownConversation newOne="/" />;
  return <Messages {...props} messages={props.messages} />;
}

function Messages(
  props: MessageActions & { messages: Message[]; sent: string | undefined },
) {
  return (
    <MessageList sent={props.sent} isEmpty={props.messages.length === 0}>
      {props.messages.map((message) => (
        <Turn key={message._id} prompt={message.prompt}>
          <Reply
            message={message}
            onRetry={() => props.onRetry(message._id)}
            onDelete={() => props.onDelete(message._id)}
          />
        </Turn>
      ))}
    </MessageList>
  );
}
