/**
 * Decides when changes are shown: at most once per frame, and so rarely that
 * rendering takes at most half of the time. All readers of a page share one pace, so
 * their changes show together.
 */

/** How long (ms) an update waits if no frames are painted, as in a hidden tab. */
const NO_FRAME_MS = 100;
/** A render that takes longer (ms) is followed by a pause of the same length. */
const QUICK_MS = 24;
/** How long (ms) to wait for a render whose end is never reported, because React discarded it. */
const LONGEST_RENDERING_MS = 1000;

const updates = new Set<() => void>();
/** The requested frame. */
let frame: object | null = null;
/** The one that the timer waits for. */
let awaited: object | null = null;
let renderingSince: number | null = null;
let pausedUntil = 0;

/** Runs `update` with one of the next frames. Returns how to cancel it. */
export function onNextFrame(update: () => void): () => void {
  updates.add(update);
  if (frame === null) requestFrame();
  return () => updates.delete(update);
}

/** Reports that an update is being rendered elsewhere, until `rendered` is called. */
export function rendering(): void {
  renderingSince ??= performance.now();
}

/** Reports that everything that was being rendered is on the page. */
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
  for (const update of due) {
    try {
      update();
    } catch (error) {
      setTimeout(() => {
        throw error;
      });
    }
  }
  if (renderingSince !== null) return;
  // Nothing is being rendered elsewhere, so that was all the work.
  renderingSince = now;
  rendered();
}

function requestFrame(): void {
  const requested = (frame = {});
  globalThis.requestAnimationFrame?.(() => {
    if (frame === requested) onFrame();
  });
  if (awaited === null) awaitFrame();
}

/** In case no frame comes. Setting a timer for each would cost more than the update. */
function awaitFrame(): void {
  const mine = (awaited = frame);
  if (mine === null) return;
  setTimeout(() => {
    awaited = null;
    if (frame === mine) onFrame();
    if (awaited === null) awaitFrame();
  }, NO_FRAME_MS);
}
