// src/watch.ts
import { watchStream } from "@convex-dev/persistent-text-streaming/browser";
import type { StreamId } from "@convex-dev/persistent-text-streaming";
import { ConvexClient } from "convex/browser";
import { api } from "../convex/_generated/api";

export function showReply(
  element: HTMLElement,
  convexUrl: string,
  streamId: StreamId,
) {
  const client = new ConvexClient(convexUrl);
  const stream = watchStream(client, api.chat.getStreamBody, { streamId });
  const show = () => (element.textContent = stream.getSnapshot().text);
  stream.subscribe(show);
  show();
  return stream.close;
}
