// src/Preview.tsx
import type { StreamId } from "@convex-dev/persistent-text-streaming";
import {
  useSmoothText,
  useStreamBody,
} from "@convex-dev/persistent-text-streaming/react";
import { api } from "../convex/_generated/api";

/** The last lines of a reply that someone else's browser drives. */
export function Preview({ streamId }: { streamId: StreamId }) {
  const { text, status } = useStreamBody(api.chat.getStreamBody, streamId, {
    incremental: true,
    tail: 500,
  });
  const [visible] = useSmoothText(text, { status });
  return <p>{visible}</p>;
}
