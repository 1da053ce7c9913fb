import { useEffect, useRef } from "react";

/**
 * The message box, which has the focus whenever a conversation comes into view.
 * Not on touch screens, where it would bring up the keyboard.
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
