import type { StreamStatus } from "@convex-dev/persistent-text-streaming";

/** Whether a reply can still grow. */
export function isLive(status: StreamStatus): boolean {
  return status === "pending" || status === "streaming";
}

/** The status in a reader's words. */
export const statusLabel: Record<StreamStatus, string> = {
  pending: "Thinking",
  streaming: "Writing",
  done: "Complete",
  error: "Failed",
  timeout: "Timed out",
  aborted: "Stopped",
};

/** Explains the statuses that need it. */
export const statusExplanation: Partial<Record<StreamStatus, string>> = {
  error: "The reply broke off. Everything written so far is saved.",
  timeout: "The writer has gone silent. Everything written so far is saved.",
  aborted: "Everything written so far is saved.",
};
