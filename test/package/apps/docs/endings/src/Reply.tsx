// src/Reply.tsx
import type { StreamId } from "@convex-dev/persistent-text-streaming";
import {
  isFinal,
  useStream,
} from "@convex-dev/persistent-text-streaming/react";
import { useMutation } from "convex/react";
import { api } from "../convex/_generated/api";

export function Reply({ streamId }: { streamId: StreamId }) {
  const { text, status, error, retry } = useStream(
    api.chat.getStreamBody,
    `${import.meta.env.VITE_CONVEX_SITE_URL}/chat`,
    "auto",
    streamId,
    { incremental: true },
  );
  const stop = useMutation(api.chat.abortStream);
  return (
    <article aria-busy={!isFinal(status)}>
      <p>{text}</p>
      {isFinal(status) ? null : (
        <button onClick={() => void stop({ streamId })}>Stop</button>
      )}
      {error && status !== "aborted" ? (
        <p role="alert">
          {error.message}
          {status === "pending" ? (
            <button onClick={retry}>Try again</button>
          ) : null}
        </p>
      ) : null}
    </article>
  );
}
