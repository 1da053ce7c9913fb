import { useEffect } from "react";

/** The page's title in the tab and the browser's history. */
export function useTitle(title: string): void {
  useEffect(() => {
    document.title = `${title} · Persistent text streaming`;
  }, [title]);
}
