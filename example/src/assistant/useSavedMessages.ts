import { useConvex } from "convex/react";
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
 * What is saved of a conversation when it comes into view; `undefined` until it is
 * loaded. A reply that is still being written is not here: `useChat` reads it.
 */
export function useSavedMessages(
  turns: Turns | null | undefined,
): AssistantMessage[] | undefined {
  const load = useLoadMessages();
  const [saved, setSaved] = useState<AssistantMessage[]>();
  // Once, of the turns that there are then.
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

/** Gives a function that loads the messages of turns: what the user wrote, and the replies that have ended. */
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
