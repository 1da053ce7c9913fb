import { useMutation, useQuery } from "convex/react";
import type { FunctionReturnType } from "convex/server";
import { useState } from "react";
import { useLocation, useRoute } from "wouter";
import { api } from "../../convex/_generated/api";
import { Composer } from "../chat/Composer";
import { ErrorBoundary } from "../errors";
import {
  BelowMessages,
  LoadingMessages,
  UnknownConversation,
} from "../MessageList";
import { Shell } from "../Shell";
import { useAttempt } from "../useAttempt";
import { useComposer } from "../useComposer";
import { Welcome } from "../Welcome";
import { AssistantConversation } from "./AssistantConversation";
import { GenerationSelect, type Generation } from "./GenerationSelect";
import { useSavedMessages } from "./useSavedMessages";

export type Turns = NonNullable<
  FunctionReturnType<typeof api.assistant.listTurns>
>;

export default function Assistant() {
  const [, route] = useRoute("/assistant/:conversationId");
  const conversationId = route?.conversationId;
  return (
    <Shell heading="Assistant" current={conversationId}>
      <ErrorBoundary key={conversationId}>
        {conversationId === undefined ? (
          <NewConversation />
        ) : (
          <SavedConversation conversationId={conversationId} />
        )}
      </ErrorBoundary>
    </Shell>
  );
}

function NewConversation() {
  const send = useMutation(api.assistant.send);
  const [, navigate] = useLocation();
  const [generation, setGeneration] = useState<Generation>("request");
  const { problem, attempt, forget } = useAttempt();
  const composer = useComposer(undefined);
  // The conversation's page finds the unread reply and reads it.
  const begin = (prompt: string) =>
    attempt(async () => {
      const messageId = crypto.randomUUID();
      const sent = await send({ prompt, messageId, generation });
      navigate(`/assistant/${sent.conversationId}`);
    });
  return (
    <>
      <Welcome
        title="Replies that outlive the tab."
        suggestions={suggestions}
        onPick={(prompt) => void begin(prompt)}
      >
        The AI SDK’s useChat on a stream that is saved as it arrives: reasoning,
        tool calls and text. Reload in the middle of a thought, or close the tab
        and come back.
      </Welcome>
      <BelowMessages>
        <GenerationSelect value={generation} onChange={setGeneration} />
        <Composer
          ref={composer}
          problem={problem}
          onEdit={forget}
          onSend={begin}
          onStop={undefined}
        />
      </BelowMessages>
    </>
  );
}

const suggestions = [
  "When is high water in Saint-Malo?",
  "Can I walk at low water in Bristol?",
  "Write a debounce function in TypeScript",
  "The tides in Hamburg, but fail half way",
];

function SavedConversation(props: { conversationId: string }) {
  const turns = useQuery(api.assistant.listTurns, props);
  const saved = useSavedMessages(turns);
  if (turns === null) return <UnknownConversation newOne="/assistant" />;
  if (turns === undefined || saved === undefined) return <LoadingMessages />;
  return (
    <AssistantConversation
      key={props.conversationId}
      conversationId={props.conversationId}
      turns={turns}
      saved={saved}
    />
  );
}
