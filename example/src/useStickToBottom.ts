import { useCallback, useRef, useState } from "react";

/**
 * Keeps a scrolling element at its bottom while its content grows.
 *
 * Scrolling up by any means (wheel, key, finger, script) lets go; scrolling to the
 * bottom holds on again. A frame fires scroll events before it observes sizes, so
 * a reader who scrolls up is never pulled down by the growth of the same frame.
 */
export function useStickToBottom() {
  const [atBottom, setAtBottom] = useState(true);
  const scroller = useRef<HTMLElement>(null);

  /** For the element that scrolls. Its first child is what grows. */
  const scrollRef = useCallback((element: HTMLElement | null) => {
    scroller.current = element;
    if (element === null) return;
    let stuck = true;
    let lastTop = 0;

    const follow = () => {
      if (stuck) element.scrollTop = element.scrollHeight;
      lastTop = element.scrollTop;
    };
    const onScroll = () => {
      const { scrollTop, scrollHeight, clientHeight } = element;
      const below = scrollHeight - clientHeight - scrollTop;
      // With nothing below, a smaller position means that the content shrank.
      if (scrollTop < lastTop && below > 1) stuck = false;
      else if (scrollTop > lastTop && below < 24) stuck = true;
      lastTop = scrollTop;
      setAtBottom(stuck);
    };

    const observer = new ResizeObserver(follow);
    observer.observe(element);
    if (element.firstElementChild !== null) {
      observer.observe(element.firstElementChild);
    }
    element.addEventListener("scroll", onScroll, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", onScroll);
      scroller.current = null;
    };
  }, []);

  const scrollToBottom = useCallback(() => {
    const element = scroller.current;
    if (element !== null) element.scrollTop = element.scrollHeight;
  }, []);

  return { scrollRef, atBottom, scrollToBottom };
}
