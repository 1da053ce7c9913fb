// convex/streaming.ts
import { PersistentTextStreaming } from "@convex-dev/persistent-text-streaming";
import { components } from "./_generated/api";

/** Saves about once a second: cheaper, but followers see text a little later. */
export const streaming = new PersistentTextStreaming(
  components.persistentTextStreaming,
  { flush: { minDelayMs: 1000, maxDelayMs: 2000 }, timeoutMs: 60_000 },
);
