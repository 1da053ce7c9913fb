import { PersistentTextStreaming } from "@convex-dev/persistent-text-streaming";
import { v } from "convex/values";
import { components } from "./_generated/api";

export const streaming = new PersistentTextStreaming(
  components.persistentTextStreaming,
);

/** For replies that are lines of a protocol: nobody reads half a line. */
export const lineStreaming = new PersistentTextStreaming(
  components.persistentTextStreaming,
  { flush: "line" },
);

export const streamStatus = v.union(
  v.literal("pending"),
  v.literal("streaming"),
  v.literal("done"),
  v.literal("error"),
  v.literal("timeout"),
  v.literal("aborted"),
);
