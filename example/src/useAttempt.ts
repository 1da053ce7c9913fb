import { useState } from "react";
import { messageOf } from "./errors";

/** Does what the user asked for, and keeps why the last of it could not be done. */
export function useAttempt() {
  const [problem, setProblem] = useState<string | null>(null);
  /** Says whether it could be done. */
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
