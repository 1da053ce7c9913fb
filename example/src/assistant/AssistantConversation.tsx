import { useChat, type UseChatHelpers } from "@ai-sdk/react";
import {
  PersistentChatTransport,
  type ChatStream,
} from "@convex-dev/persistent-text-streaming/ai";
import { useMutation } from "convex/react";
import { useEffect, useRef, useState } from "react";
import { api } from "../../convex/_generated/api";
import {
  userMessage,
  type AssistantMessage,
} from "../../convex/assistantMessages";
import { Announcement } from "../chat/Announcement";
import { Composer } from "../chat/Composer";
import { BelowMessages, MessageList, Turn } from "../MessageList";
import { siteAddress } from "../backend";
import { authToken } from "../identity";
import { isLive } from "../status";
import { useAttempt } from "../useAttempt";
import { useComposer } from "../useComposer";
import { useEscape } from "../useEscape";
import type { Turns } from "./Assistant";
import { AssistantReply } from "./AssistantReply";
import { Gate } from "./Gate";
import { GenerationSelect } from "./GenerationSelect";
import { useLoadMessages } from "./useSavedMessages";

/**
 * A conversation. The replies' content comes from `useChat`; the list of turns and
 * their statuses comes from the query, so every window shows the same.
 */
export function AssistantConversation(props: {
  conversationId: string;
  turns: Turns;
  saved: AssistantMessage[];
}) {
  const { conversationId, turns } = props;
  const sendTurn = useMutation(api.assistant.send);
  const retryTurn = useMutation(api.assistant.retry);
  const stopReply = useMutation(api.chat.abortStream);
  const deleteTurn = useMutation(api.chat.deleteMessage);
  const { problem, attempt, forget } = useAttempt();
  const composer = useComposer(conversationId);
  const last = turns.at(-1);
  const [generation, setGeneration] = useState(last?.generation ?? "request");
  /** The last message that was sent from this page. */
  const [sent, setSent] = useState<string>();
  /** The message whose reply `sendMessage` reads, so nothing else has to. */
  const [sending, setSending] = useState<string>();

  const [unread] = useState(() => turns.find(isUnreadIn(props.saved)));
  // The mutation that creates a reply's stream runs before `useChat` is told of
  // it, so both functions pass on the stream that comes with the call.
  const [chatTransport] = useState(
    () =>
      new PersistentChatTransport<AssistantMessage>({
        url: siteAddress("/assistant"),
        headers: authorization,
        send: ({ body }) => body as ChatStream,
        activeStream: (_chatId, { body }) =>
          (body as ChatStream | undefined) ?? (unread && streamOf(unread)),
      }),
  );
  const chat = useChat<AssistantMessage>({
    id: conversationId,
    messages: props.saved,
    resume: true,
    transport: chatTransport,
    // A few updates per second are enough for the eye.
    experimental_throttle: 50,
  });
  const isReading = chat.status === "submitted" || chat.status === "streaming";
  // `useChat` has a single status, so it reads one reply at a time.
  const [idle] = useState(() => new Gate());
  useEffect(() => idle.set(!isReading), [idle, isReading]);
  useOtherWindows(
    chat,
    isReading ? [] : turns.filter((turn) => turn.messageId !== sending),
    unread,
    idle,
  );

  // Leaving the page ends the reading, not the reply.
  const { stop: stopReading } = chat;
  useEffect(() => () => void stopReading(), [stopReading]);

  const send = (prompt: string) =>
    attempt(async () => {
      const messageId = crypto.randomUUID();
      setSent(messageId);
      setSending(messageId);
      const { streamId } = await sendTurn({
        conversationId,
        messageId,
        prompt,
        generation,
      });
      // The last words of a stopped reply may still be on their way.
      void idle.passage().then(() =>
        chat.sendMessage(userMessage(messageId, prompt.trim()), {
          body: { streamId, drive: generation === "request" },
        }),
      );
    });

  const retry = (turn: Turns[number]) =>
    attempt(async () => {
      // The new reply appears in `turns`, and is read like another window's.
      await retryTurn({ messageId: turn._id });
      setSending(undefined);
      composer.current?.focus();
    });
  const remove = (turn: Turns[number]) =>
    attempt(async () => {
      await deleteTurn({ messageId: turn._id });
      composer.current?.focus();
    });

  /** Whether `useChat` reads, or read last, the reply of this turn. */
  const isCurrent = ({ messageId, streamId }: Turns[number]) =>
    [messageId, streamId].includes(chat.messages.at(-1)?.id ?? "");

  const live = turns.findLast(({ status }) => isLive(status));
  const stop =
    live &&
    (() =>
      void attempt(async () => {
        await stopReply({ streamId: live.streamId });
      }));
  useEscape(stop);

  return (
    <>
      <MessageList sent={sent} isEmpty={turns.length === 0}>
        {turns.map((turn) => (
          <Turn key={turn.messageId} prompt={turn.prompt}>
            <AssistantReply
              turn={turn}
              message={chat.messages.find(({ id }) => id === turn.streamId)}
              isReading={isReading && isCurrent(turn)}
              error={isCurrent(turn) ? chat.error?.message : undefined}
              onRetry={
                live === undefined && !isReading
                  ? () => void retry(turn)
                  : undefined
              }
              onDelete={() => void remove(turn)}
            />
          </Turn>
        ))}
      </MessageList>
      <BelowMessages>
        <GenerationSelect value={generation} onChange={setGeneration} />
        <Composer
          ref={composer}
          problem={problem}
          onEdit={forget}
          onSend={send}
          onStop={stop}
        />
      </BelowMessages>
      <Announcement
        status={turns.find(({ messageId }) => messageId === sent)?.status}
      />
    </>
  );
}

/** Adds the turns that `useChat` does not know yet: other windows', and retries. */
function useOtherWindows(
  chat: UseChatHelpers<AssistantMessage>,
  turns: Turns,
  unread: Turns[number] | undefined,
  idle: Gate,
): void {
  const load = useLoadMessages();
  const { messages, setMessages, resumeStream } = chat;
  // `useChat` itself resumes the unread one.
  const asked = useRef(new Set([unread?.streamId]));
  useEffect(() => {
    const fresh = turns
      .filter(isUnreadIn(messages))
      .filter(({ streamId }) => !asked.current.has(streamId));
    if (fresh.length === 0) return;
    for (const { streamId } of fresh) asked.current.add(streamId);
    void load(fresh).then(async (loaded) => {
      // Last, since `useChat` takes the message before a resumed reply for its prompt.
      setMessages((now) => {
        const ids = new Set(loaded.map(({ id }) => id));
        return [...now.filter(({ id }) => !ids.has(id)), ...loaded];
      });
      const live = fresh.find(({ status }) => isLive(status));
      if (live === undefined) return;
      await idle.passage();
      await resumeStream({ body: streamOf(live) });
    });
  }, [turns, messages, load, setMessages, resumeStream, idle]);
}

const isUnreadIn = (messages: AssistantMessage[]) => {
  const ids = new Set(messages.map(({ id }) => id));
  return ({ streamId }: Turns[number]) => !ids.has(streamId);
};

/** A reply that no one has started waits for a request from any window. */
function streamOf({ streamId, generation }: Turns[number]) {
  return { streamId, drive: generation === "request" } satisfies ChatStream;
}

const authorization: Record<string, string> =
  authToken === undefined ? {} : { Authorization: `Bearer ${authToken}` };
