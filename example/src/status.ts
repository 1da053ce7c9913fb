import type { StreamStatus } from "@convex-dev/persistent-text-streaming";

/** Whether a reply may still grow. */
export function isLive(status: StreamStatus): boolean {
  return status === "pending" || status === "streaming";
}

/** What a reply's status means to its reader. */
export const statusLabel: Record<StreamStatus, string> = {
  pending: "Thinking",
  streaming: "Writing",
  done: "Complete",
  error: "Failed",
  timeout: "Timed out",
  aborted: "Stopped",
};

/** What happened; nothing if all is well. */
export const statusExplanation: Partial<Record<StreamStatus, string>> = {
  error: "This reply broke off. What had come of it is saved.",
  timeout: "Nothing was heard of this reply for 20 minutes.",
  aborted: "What had come of this reply is saved.",
};
