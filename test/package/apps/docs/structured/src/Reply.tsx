// src/Reply.tsx
import type { StreamId } from "@convex-dev/persistent-text-streaming";
import {
  useStream,
  useStreamLines,
} from "@convex-dev/persistent-text-streaming/react";
import { api } from "../convex/_generated/api";
import { replyEvent } from "./events";

export function Reply({ streamId }: { streamId: StreamId }) {
  const body = useStream(
    api.chat.getStreamBody,
    `${import.meta.env.VITE_CONVEX_SITE_URL}/chat`,
    "auto",
    streamId,
    { incremental: true },
  );
  const events = useStreamLines(body, replyEvent);
  const textOf = (type: "reasoning" | "text") =>
    events.map((event) => (event.type === type ? event.delta : "")).join("");
  return (
    <article>
      <details>{textOf("reasoning")}</details>
      <p>{textOf("text")}</p>
    </article>
  );
}
