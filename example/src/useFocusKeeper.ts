import { useEffect } from "react";

/**
 * Keeps the keyboard's place. When the focused element leaves the page, the focus
 * moves to the message box, or, on touch screens (where that would bring up the
 * keyboard) and on pages without one, to the page's main part.
 */
export function useFocusKeeper(): void {
  useEffect(() => {
    let last: Element | null = null;
    const onFocus = () => (last = document.activeElement);
    const observer = new MutationObserver(() => {
      if (last === null || last.isConnected) return;
      if (document.activeElement !== document.body) return;
      last = null;
      focusHome();
    });
    document.addEventListener("focusin", onFocus);
    observer.observe(document.body, { childList: true, subtree: true });
    return () => {
      document.removeEventListener("focusin", onFocus);
      observer.disconnect();
    };
  }, []);
}

function focusHome(): void {
  const box = window.matchMedia("(pointer: fine)").matches
    ? document.querySelector<HTMLElement>("main textarea")
    : null;
  const home = box ?? document.querySelector<HTMLElement>("main");
  home?.focus({ preventScroll: true });
}
