import { useMutation, useQuery } from "convex/react";
import { useState } from "react";
import { useLocation, useRoute } from "wouter";
import { api } from "../../convex/_generated/api";
import { ErrorBoundary } from "../errors";
import { BelowMessages } from "../MessageList";
import { Shell } from "../Shell";
import { isLive } from "../status";
import { useAttempt } from "../useAttempt";
import { useComposer } from "../useComposer";
import { useEscape } from "../useEscape";
import { Welcome } from "../Welcome";
import { Announcement } from "./Announcement";
import { Composer } from "./Composer";
import { Conversation } from "./Conversation";

export function Chat() {
  const [, route] = useRoute("/c/:conversationId");
  const [, navigate] = useLocation();
  const conversationId = route?.conversationId;
  const messages = useQuery(
    api.chat.listMessages,
    conversationId === undefined ? "skip" : { conversationId },
  );
  const sendMessage = useMutation(api.chat.sendMessage);
  const retry = useMutation(api.chat.retry);
  const stop = useMutation(api.chat.abortStream);
  const deleteMessage = useMutation(api.chat.deleteMessage);

  /** The reply that was last asked for on this page. */
  const [asked, setAsked] = useState<string>();

  const { problem, attempt, forget } = useAttempt();
  const composer = useComposer(conversationId);
  const focusComposer = () => composer.current?.focus();

  const live = messages?.findLast((message) => isLive(message.status));
  const stopLive =
    live &&
    (() =>
      void attempt(async () => {
        await stop({ streamId: live.responseStreamId });
      }));
  useEscape(stopLive);

  const send = (prompt: string) =>
    attempt(async () => {
      const sent = await sendMessage({ prompt, conversationId });
      setAsked(sent.streamId);
      if (sent.conversationId !== conversationId) {
        navigate(`/c/${sent.conversationId}`);
      }
    });

  return (
    <Shell heading="Chat" current={conversationId}>
      <ErrorBoundary key={conversationId}>
        {conversationId === undefined ? (
          <Welcome
            title="Replies that stream, and stay."
            suggestions={suggestions}
            onPick={(prompt) => void send(prompt)}
          >
            Each word reaches this page over HTTP as it is written, and the
            database a moment later. Reload, open a second window, cut the
            connection: the text continues where it was.
          </Welcome>
        ) : (
          <Conversation
            messages={messages}
            sent={asked}
            onRetry={(messageId) =>
              void attempt(async () => {
                setAsked((await retry({ messageId })).streamId);
                focusComposer();
              })
            }
            onDelete={(messageId) =>
              void attempt(async () => {
                await deleteMessage({ messageId });
                focusComposer();
              })
            }
          />
        )}
      </ErrorBoundary>
      {messages === null ? null : (
        <BelowMessages>
          <Composer
            ref={composer}
            problem={problem}
            onEdit={forget}
            onSend={send}
            onStop={stopLive}
          />
        </BelowMessages>
      )}
      <Announcement
        status={messages?.find((m) => m.responseStreamId === asked)?.status}
      />
    </Shell>
  );
}

const suggestions = [
  "Why does the sea rise twice a day?",
  "Write a debounce function in TypeScript",
  "Put the planets in a table",
  "请用中文说说喝茶",
  "Bake bread, but fail half way",
  "Tell me a long story",
];
