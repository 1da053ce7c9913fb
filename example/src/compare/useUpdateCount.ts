import { useState } from "react";

/** How many times a text has changed since it was last empty. */
export function useUpdateCount(text: string): number {
  const [seen, setSeen] = useState({ text: "", count: 0 });
  if (seen.text === text) return seen.count;
  // Counted while rendering, so that no figure is ever one behind its text.
  const next = { text, count: text === "" ? 0 : seen.count + 1 };
  setSeen(next);
  return next.count;
}
