/**
 * When what has changed is shown: at most once a frame, and so seldom that
 * rendering takes at most half of the time. One pace for all readers of a page,
 * so that what they show changes in one go.
 */

/** How long (ms) an update waits where no frames are painted, as in a hidden tab. */
const NO_FRAME_MS = 100;
/** A rendering that takes longer (ms) is followed by a pause of the same length. */
const QUICK_MS = 24;
/** A rendering whose end nobody reports (React has thrown it away) is waited for this long (ms). */
const LONGEST_RENDERING_MS = 1000;

const updates = new Set<() => void>();
let cancelFrame: (() => void) | null = null;
let renderingSince: number | null = null;
let pausedUntil = 0;

/** Runs `update` with one of the next frames. Returns how to cancel it. */
export function onNextFrame(update: () => void): () => void {
  updates.add(update);
  cancelFrame ??= requestFrame();
  return () => {
    updates.delete(update);
    if (updates.size > 0) return;
    cancelFrame?.();
    cancelFrame = null;
  };
}

/** Says that an update has begun to be rendered elsewhere, until `rendered` is called. */
export function rendering(): void {
  renderingSince ??= performance.now();
}

/** Says that all that was being rendered is on the page. */
export function rendered(): void {
  if (renderingSince === null) return;
  pauseAfter(renderingSince);
  renderingSince = null;
}

function pauseAfter(since: number): void {
  const now = performance.now();
  if (now - since > QUICK_MS) pausedUntil = now + (now - since);
}

function isPaused(): boolean {
  const now = performance.now();
  return renderingSince === null
    ? now < pausedUntil
    : now - renderingSince < LONGEST_RENDERING_MS;
}

function onFrame(): void {
  cancelFrame = null;
  if (isPaused()) {
    cancelFrame = requestFrame();
    return;
  }
  renderingSince = null;
  const start = performance.now();
  const due = [...updates];
  updates.clear();
  for (const update of due) update();
  if (renderingSince === null) pauseAfter(start);
}

function requestFrame(): () => void {
  const cancel = () => {
    clearTimeout(timer);
    if (frame !== undefined) cancelAnimationFrame(frame);
  };
  const run = () => {
    cancel();
    onFrame();
  };
  const timer = setTimeout(run, NO_FRAME_MS);
  const frame =
    typeof requestAnimationFrame === "function"
      ? requestAnimationFrame(run)
      : undefined;
  return cancel;
}
