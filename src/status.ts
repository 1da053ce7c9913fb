import type { StreamStatus } from "./shared.js";

/** A status that never changes again. */
export type FinalStatus = Exclude<StreamStatus, "pending" | "streaming">;

/** Whether a stream of this status has ended. */
export function isFinal(status: StreamStatus): status is FinalStatus {
  return status !== "pending" && status !== "streaming";
}
