// src/Reply.tsx
import type { StreamId } from "@convex-dev/persistent-text-streaming";
import { useStream } from "@convex-dev/persistent-text-streaming/react";
import { api } from "../convex/_generated/api";

const url = `${import.meta.env.VITE_CONVEX_SITE_URL}/chat`;

export function Reply({ streamId }: { streamId: StreamId }) {
  const { text } = useStream(api.chat.getStreamBody, url, "auto", streamId);
  return <p>{text}</p>;
}
