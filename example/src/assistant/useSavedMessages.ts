import type { StreamId } from "@convex-dev/persistent-text-streaming";
import { useConvex, useQuery } from "convex/react";
import { useEffect, useRef, useState } from "react";
import { api } from "../../convex/_generated/api";
import {
  messageOf,
  userMessage,
  type AssistantMessage,
} from "../../convex/assistantMessages";
import { isLive } from "../status";
import type { Turns } from "./Assistant";

/**
 * The saved messages of a conversation, as of its first render; `undefined` until
 * they are loaded. A reply that is still being written is left to `useChat`.
 */
export function useSavedMessages(
  turns: Turns | null | undefined,
): AssistantMessage[] | undefined {
  const load = useLoadMessages();
  const [saved, setSaved] = useState<AssistantMessage[]>();
  // Once, with the turns of that moment.
  const loading = useRef(false);
  useEffect(() => {
    if (turns === null || turns === undefined || loading.current) return;
    loading.current = true;
    void load(turns).then(setSaved, (error: unknown) => {
      setSaved(() => {
        throw error;
      });
    });
  }, [turns, load]);
  return saved;
}

/** A reply that Retry has replaced; `undefined` until it is loaded, and without an id. */
export function useEarlierReply(streamId: StreamId | undefined) {
  const saved = useQuery(
    api.chat.getStreamBody,
    streamId === undefined ? "skip" : { streamId },
  );
  const [message, setMessage] = useState<AssistantMessage>();
  useEffect(() => {
    if (streamId === undefined || saved === undefined) return;
    let current = true;
    void messageOf(streamId, saved.text).then((loaded) => {
      if (current) setMessage(loaded);
    });
    return () => {
      current = false;
    };
  }, [streamId, saved]);
  return saved && message?.id === streamId
    ? { message, status: saved.status }
    : undefined;
}

/** Returns a function that loads the messages of turns: the prompts, and the replies that have ended. */
export function useLoadMessages() {
  const convex = useConvex();
  const [load] = useState(() => async (turns: Turns) => {
    const messages = turns.map(
      async ({ messageId, prompt, streamId, status }) => {
        const message = userMessage(messageId, prompt);
        if (isLive(status)) return [message];
        const saved = await convex.query(api.chat.getStreamBody, { streamId });
        return [message, await messageOf(streamId, saved.text)];
      },
    );
    return (await Promise.all(messages)).flat();
  });
  return load;
}
