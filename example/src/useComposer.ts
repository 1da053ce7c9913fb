import { useEffect, useRef } from "react";

/**
 * The message box. It gets the focus when a conversation appears, except on touch
 * screens, where that would bring up the keyboard.
 */
export function useComposer(conversationId: string | undefined) {
  const composer = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    if (window.matchMedia("(pointer: fine)").matches) {
      composer.current?.focus();
    }
  }, [conversationId]);
  return composer;
}
