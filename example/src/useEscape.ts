import { useEffect, useRef } from "react";

/** Calls the action when Escape is pressed, wherever the focus is. */
export function useEscape(action: (() => void) | undefined): void {
  const latest = useRef<(() => void) | undefined>(undefined);
  useEffect(() => {
    latest.current = action;
  });
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const inDialog = document.querySelector("dialog[open]") !== null;
      if (event.key === "Escape" && !event.defaultPrevented && !inDialog) {
        latest.current?.();
      }
    };
    window.addEventListener("keydown", onKeyDown);
    return () => window.removeEventListener("keydown", onKeyDown);
  }, []);
}
