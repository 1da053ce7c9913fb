import { useChat, type UseChatHelpers } from "@ai-sdk/react";
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
import { isLive } from "../status";
import { useAttempt } from "../useAttempt";
import { useComposer } from "../useComposer";
import { useEscape } from "../useEscape";
import type { Turns } from "./Assistant";
import { AssistantReply } from "./AssistantReply";
import { Gate } from "./Gate";
import { GenerationSelect } from "./GenerationSelect";
import { transport, type Reading } from "./transport";
import { useLoadMessages } from "./useSavedMessages";

/**
 * A conversation. What replies say comes from `useChat`; which turns there are, and
 * how they are doing, is the query's to say, in every window.
 */
export function AssistantConversation(props: {
  conversationId: string;
  turns: Turns;
  saved: AssistantMessage[];
}) {
  const { conversationId, turns } = props;
  const sendTurn = useMutation(api.assistant.send);
  const stopReply = useMutation(api.chat.stop);
  const { problem, attempt, forget } = useAttempt();
  const composer = useComposer(conversationId);
  const last = turns.at(-1);
  const [generation, setGeneration] = useState(last?.generation ?? "request");
  /** The last message that was sent from here. */
  const [sent, setSent] = useState<string>();

  const [unread] = useState(() => turns.find(isUnreadIn(props.saved)));
  const [chatTransport] = useState(() =>
    transport(unread === undefined ? undefined : readingOf(unread)),
  );
  const chat = useChat<AssistantMessage>({
    id: conversationId,
    messages: props.saved,
    resume: true,
    transport: chatTransport,
    // No more often than can be seen.
    experimental_throttle: 50,
  });
  const isReading = chat.status === "submitted" || chat.status === "streaming";
  // `useChat` has one status for all that it reads: one reply after the other.
  const [idle] = useState(() => new Gate());
  useEffect(() => idle.set(!isReading), [idle, isReading]);
  useOtherWindows(
    chat,
    isReading ? [] : turns.filter((turn) => turn.messageId !== sent),
    unread,
    idle,
  );

  // Reading ends with the page; the reply does not.
  const { stop: stopReading } = chat;
  useEffect(() => () => void stopReading(), [stopReading]);

  const send = (prompt: string) =>
    attempt(async () => {
      const messageId = crypto.randomUUID();
      setSent(messageId);
      const { streamId } = await sendTurn({
        conversationId,
        messageId,
        prompt,
        generation,
      });
      // The last words of a reply that was stopped may still be coming.
      void idle.passage().then(() =>
        chat.sendMessage(userMessage(messageId, prompt.trim()), {
          body: { streamId, driven: generation === "request" },
        }),
      );
    });

  const live = last !== undefined && isLive(last.status) ? last : undefined;
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
              message={chat.messages.find(({ id }) => id === turn.streamId)}
              status={turn.status}
              isReading={isReading && turn === last}
              error={turn === last ? chat.error?.message : undefined}
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

/** Shows what other windows have begun: of these turns, those that are not here yet. */
function useOtherWindows(
  chat: UseChatHelpers<AssistantMessage>,
  turns: Turns,
  unread: Turns[number] | undefined,
  idle: Gate,
): void {
  const load = useLoadMessages();
  const { messages, setMessages, resumeStream } = chat;
  // What `useChat` resumes by itself is on its way.
  const asked = useRef(new Set([unread?.streamId]));
  useEffect(() => {
    const fresh = turns
      .filter(isUnreadIn(messages))
      .filter(({ streamId }) => !asked.current.has(streamId));
    if (fresh.length === 0) return;
    for (const { streamId } of fresh) asked.current.add(streamId);
    void load(fresh).then(async (loaded) => {
      setMessages((now) => {
        const known = new Set(now.map(({ id }) => id));
        return [...now, ...loaded.filter(({ id }) => !known.has(id))];
      });
      const live = fresh.find(({ status }) => isLive(status));
      if (live === undefined) return;
      await idle.passage();
      await resumeStream({ body: readingOf(live) });
    });
  }, [turns, messages, load, setMessages, resumeStream, idle]);
}

const isUnreadIn = (messages: AssistantMessage[]) => {
  const ids = new Set(messages.map(({ id }) => id));
  return ({ streamId }: Turns[number]) => !ids.has(streamId);
};

/** A reply that nobody writes yet waits for a request; any window's will do. */
function readingOf({ streamId, generation, status }: Turns[number]): Reading {
  return {
    streamId,
    driven: generation === "request" && status === "pending",
  };
}
