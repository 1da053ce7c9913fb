// src/Reply.tsx
import type { StreamId } from "@convex-dev/persistent-text-streaming";
import { useStream } from "@convex-dev/persistent-text-streaming/react";
import { api } from "../convex/_generated/api";

export function Reply(props: {
  streamId: StreamId;
  /** Whether the signed-in user sent the message. */
  mine: boolean;
  getToken: () => Promise<string | null>;
}) {
  const { text, error } = useStream(
    api.chat.getStreamBody,
    `${import.meta.env.VITE_CONVEX_SITE_URL}/chat`,
    props.mine ? "auto" : false,
    props.streamId,
    { authToken: props.getToken, incremental: true },
  );
  return <p>{error ? error.message : text}</p>;
}
