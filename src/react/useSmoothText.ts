import { useEffect, useRef, useState } from "react";
import {
  cancelUpdate,
  onNextFrame,
  rendered,
  rendering,
} from "../browser/pace.js";
import { isFinal, type StreamStatus } from "../shared.js";

/** Text is shown at most this long (ms) after it has arrived. */
const LONGEST_DELAY_MS = 500;
/** How far (UTF-16 code units) to search for the end of a character. */
const LONGEST_GRAPHEME = 64;

/** Options of `useSmoothText`. */
export interface SmoothTextOptions {
  /** The status of the stream. Once it is final, the whole text is shown. */
  status?: StreamStatus | undefined;
  /** Whether text that is present at mount flows too. Default: false. */
  startStreaming?: boolean | undefined;
}

/**
 * Turns text that arrives in steps, as it does from the database, into a steady flow at
 * the pace at which it arrives.
 *
 * ```tsx
 * const { text, status } = useStreamBody(api.chat.getStreamBody, streamId);
 * const [visibleText, { isStreaming }] = useSmoothText(text, { status });
 * ```
 *
 * Text that is present at mount shows at once. The visible text is never more than
 * half a second behind, never ends in the middle of a character, and is complete as
 * soon as the status is final. Nothing is animated in a hidden tab, or if the user
 * prefers reduced motion.
 *
 * @param text The text so far. A text that does not continue the previous one shows at once.
 * @returns The visible text, and whether more will show.
 */
export function useSmoothText(
  text: string,
  { status, startStreaming = false }: SmoothTextOptions = {},
): [
  visibleText: string,
  {
    /** Whether more of the text is about to be shown. */
    isStreaming: boolean;
  },
] {
  const [flow, setFlow] = useState(() => flowOf(text, startStreaming));
  const isEnd = status !== undefined && isFinal(status);
  const visible = isEnd || !continues(flow, text) ? text.length : flow.visible;
  const latest = useRef<Flow>(flow);
  useEffect(() => {
    const before = latest.current;
    latest.current = arrive(before, text, performance.now(), isEnd);
    // What follows must continue this text, not the one before.
    if (!continues(before, text)) setFlow(latest.current);
    const step = () => {
      const next = advance(latest.current, performance.now(), canAnimate());
      if (next.visible !== latest.current.visible) {
        rendering();
        setFlow(next);
      }
      latest.current = next;
      if (next.visible < next.text.length) onNextFrame(step);
    };
    onNextFrame(step);
    return () => cancelUpdate(step);
  }, [text, isEnd]);
  useEffect(rendered);
  return [text.slice(0, visible), { isStreaming: visible < text.length }];
}

/** How much of a text is visible, and when the rest is due. */
interface Flow {
  text: string;
  visible: number;
  /** When the newest text arrived, and when the flow last advanced (ms). */
  arrivedAt: number;
  advancedAt: number;
  /** The estimated time until the next text (ms). */
  interval: number;
  /** For each text that is not visible yet: its length, and when it is due (ms). */
  due: { length: number; at: number }[];
}

function flowOf(text: string, startStreaming: boolean): Flow {
  return {
    text,
    visible: startStreaming ? 0 : text.length,
    arrivedAt: -Infinity,
    advancedAt: -Infinity,
    interval: LONGEST_DELAY_MS,
    due: startStreaming ? [{ length: text.length, at: Infinity }] : [],
  };
}

/** Whether a text starts with the visible one. Reading all of a long text would copy it. */
function continues({ text: before, visible }: Flow, text: string): boolean {
  const same = (from: number, to: number) =>
    text.slice(from, to) === before.slice(from, to);
  return (
    text.length >= visible &&
    same(0, Math.min(64, visible)) &&
    same(Math.max(0, visible - 64), visible)
  );
}

/** The flow after a text has arrived. */
export function arrive(
  flow: Flow,
  text: string,
  now: number,
  isEnd: boolean,
): Flow {
  if (isEnd || !continues(flow, text)) {
    return { ...flowOf(text, false), arrivedAt: now, advancedAt: now };
  }
  const since = now - flow.arrivedAt;
  // A pause says nothing about the pace.
  const interval =
    since < 2 * LONGEST_DELAY_MS
      ? Math.min((flow.interval + since) / 2, LONGEST_DELAY_MS)
      : flow.interval;
  const due = { length: text.length, at: now + LONGEST_DELAY_MS };
  return {
    text,
    visible: flow.visible,
    arrivedAt: now,
    advancedAt: now,
    interval,
    due: [...flow.due.filter(({ length }) => length > flow.visible), due],
  };
}

/** The flow after some time has passed. */
export function advance(flow: Flow, now: number, canAnimate: boolean): Flow {
  const { text, visible, arrivedAt, advancedAt, interval, due } = flow;
  if (!canAnimate) return { ...flow, visible: text.length, due: [] };
  // The share of the rest equals the share of the remaining time.
  const left = Math.max(1, arrivedAt + interval - advancedAt);
  const share = Math.min(1, (now - advancedAt) / left);
  const paced = visible + (text.length - visible) * share;
  const overdue = due.filter(({ at }) => at <= now).map(({ length }) => length);
  const to = boundary(text, visible, Math.max(paced, ...overdue));
  return {
    ...flow,
    visible: to,
    // Time that is too short for a character is not lost.
    advancedAt: to === visible && to < text.length ? advancedAt : now,
    due: due.filter(({ at }) => at > now),
  };
}

/** The end of the last whole character up to `to`, from one at `from` on. */
function boundary(text: string, from: number, to: number): number {
  const end = Math.min(text.length, Math.floor(to));
  if (end === text.length) return end;
  const part = text.slice(from, end + LONGEST_GRAPHEME);
  let last = from;
  for (const { index } of segments(part)) {
    if (from + index > end) break;
    last = from + index;
  }
  return last;
}

/** User-perceived characters, or code points on platforms that cannot tell. */
function segments(text: string): Iterable<{ index: number }> {
  if (typeof Intl !== "undefined" && "Segmenter" in Intl) {
    return (segmenter ??= new Intl.Segmenter()).segment(text);
  }
  let index = 0;
  return Array.from(text, (point) => ({ index: (index += point.length) }));
}
let segmenter: Intl.Segmenter | undefined;

function canAnimate(): boolean {
  return (
    typeof document !== "undefined" &&
    !document.hidden &&
    !globalThis.matchMedia?.("(prefers-reduced-motion: reduce)").matches
  );
}
