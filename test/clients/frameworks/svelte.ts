import {
  watchStream,
  type Client,
  type WatchStreamOptions,
} from "@convex-dev/persistent-text-streaming/browser";
import { createSubscriber } from "svelte/reactivity";
import { onDestroy } from "svelte";

export function useStream(
  client: Client,
  query: unknown,
  options: WatchStreamOptions,
) {
  const watch = watchStream(client, query, options);
  const subscribe = createSubscriber((update) => watch.subscribe(update));
  onDestroy(() => watch.close());
  return {
    get current() {
      subscribe();
      return watch.getSnapshot();
    },
  };
}
