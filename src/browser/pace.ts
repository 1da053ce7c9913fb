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
/** The frame that is waited for. */
let frame: object | null = null;
let renderingSince: number | null = null;
let pausedUntil = 0;

/** Runs `update` with one of the next frames. Returns how to cancel it. */
export function onNextFrame(update: () => void): () => void {
  updates.add(update);
  if (frame === null) requestFrame();
  return () => updates.delete(update);
}

/** Says that an update has begun to be rendered elsewhere, until `rendered` is called. */
export function rendering(): void {
  renderingSince ??= performance.now();
}

/** Says that all that was being rendered is on the page. */
export function rendered(): void {
  if (renderingSince === null) return;
  const now = performance.now();
  const took = now - renderingSince;
  renderingSince = null;
  if (took > QUICK_MS) pausedUntil = now + took;
}

function onFrame(): void {
  frame = null;
  const now = performance.now();
  const end =
    renderingSince === null
      ? pausedUntil
      : renderingSince + LONGEST_RENDERING_MS;
  if (now < end) return requestFrame();
  renderingSince = null;
  const due = [...updates];
  updates.clear();
  for (const update of due) update();
  if (renderingSince !== null) return;
  // Nothing is rendered elsewhere: that was all the work.
  renderingSince = now;
  rendered();
}

function requestFrame(): void {
  const mine = (frame = {});
  const run = () => {
    clearTimeout(timer);
    if (frame === mine) onFrame();
  };
  const timer = setTimeout(run, NO_FRAME_MS);
  globalThis.requestAnimationFrame?.(run);
}
