import { useState } from "react";

/** Counts the changes of a text since it was last empty. */
export function useUpdateCount(text: string): number {
  const [seen, setSeen] = useState({ text: "", count: 0 });
  if (seen.text === text) return seen.count;
  // Counted during render, so that the count is never one behind its text.
  const next = { text, count: text === "" ? 0 : seen.count + 1 };
  setSeen(next);
  return next.count;
}
