import { useState } from "react";
import { messageOf } from "./errors";

/** Runs the user's actions, and keeps the message of the last one if it failed. */
export function useAttempt() {
  const [problem, setProblem] = useState<string | null>(null);
  /** Resolves to whether it succeeded. */
  async function attempt(work: () => Promise<void>): Promise<boolean> {
    setProblem(null);
    try {
      await work();
      return true;
    } catch (error) {
      setProblem(messageOf(error));
      return false;
    }
  }
  return { problem, attempt, forget: () => setProblem(null) };
}
