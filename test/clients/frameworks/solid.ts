import {
  watchStream,
  type Client,
  type WatchStreamOptions,
} from "@convex-dev/persistent-text-streaming/browser";
import { createSignal, onCleanup } from "solid-js";

export function useStream(
  client: Client,
  query: unknown,
  options: WatchStreamOptions,
) {
  const watch = watchStream(client, query, options);
  const [reply, setReply] = createSignal(watch.getSnapshot());
  watch.subscribe(() => setReply(watch.getSnapshot()));
  onCleanup(() => watch.close());
  return reply;
}
