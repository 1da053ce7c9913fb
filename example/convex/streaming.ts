import { PersistentTextStreaming } from "@convex-dev/persistent-text-streaming";
import { components } from "./_generated/api";

export const streaming = new PersistentTextStreaming(
  components.persistentTextStreaming,
);

/** For replies that are lines of a protocol: readers never get half a line. */
export const lineStreaming = new PersistentTextStreaming(
  components.persistentTextStreaming,
  { flush: "line" },
);
