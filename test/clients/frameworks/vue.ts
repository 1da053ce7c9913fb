import {
  watchStream,
  type Client,
  type WatchStreamOptions,
} from "@convex-dev/persistent-text-streaming/browser";
import { onScopeDispose, shallowRef } from "vue";

export function useStream(
  client: Client,
  query: unknown,
  options: WatchStreamOptions,
) {
  const watch = watchStream(client, query, options);
  const reply = shallowRef(watch.getSnapshot());
  watch.subscribe(() => (reply.value = watch.getSnapshot()));
  onScopeDispose(() => watch.close());
  return reply;
}
