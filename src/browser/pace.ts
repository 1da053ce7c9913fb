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

/** The updates to make. While there are any, a frame is requested. */
const updates = new Set<() => void>();
/** The last requested frame. */
let frame: number | undefined;
/** Fires if that frame never comes. */
let timer: ReturnType<typeof setTimeout> | undefined;
/** The function that set the timer. If a test replaces the clock, the timer never fires. */
let clock: typeof setTimeout;
let isRendering = false;
/** No update is made for `busyMs` from then on: during a render, and in the pause after it. */
let busySince = 0;
let busyMs = 0;

/** Runs `update` with one of the next frames. */
export function onNextFrame(update: () => void): void {
  if (updates.size === 0 || clock !== setTimeout) requestFrame();
  updates.add(update);
}

/** Cancels an update. If none is left, the next one starts afresh. */
export function cancelUpdate(update: () => void): void {
  if (updates.delete(update) && updates.size === 0) {
    clearTimeout(timer);
    timer = undefined;
  }
}

/** Reports that an update is being rendered elsewhere, until `rendered` is called. */
export function rendering(since = performance.now()): void {
  if (isRendering) return;
  isRendering = true;
  busySince = since;
  busyMs = LONGEST_RENDERING_MS;
}

/** Reports that everything that was being rendered is on the page. */
export function rendered(): void {
  if (!isRendering) return;
  isRendering = false;
  const took = performance.now() - busySince;
  busySince += took;
  busyMs = took > QUICK_MS ? took : 0;
}

function onFrame(): void {
  const start = performance.now();
  // Not if the clock was set back, as in tests.
  if (Math.abs(start - busySince) < busyMs) return requestFrame();
  isRendering = false;
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
  if (isRendering) return;
  // Nothing is being rendered elsewhere, so that was all the work.
  rendering(start);
  rendered();
}

function requestFrame(): void {
  // At most one request, because they would pile up in a hidden tab.
  globalThis.cancelAnimationFrame?.(frame!);
  frame = globalThis.requestAnimationFrame?.(onFrame);
  if (timer === undefined || clock !== setTimeout) awaitFrame();
}

/** In case no frame comes. Setting a timer for each would cost more than the update. */
function awaitFrame(): void {
  const awaited = frame;
  clock = setTimeout;
  timer = clock(() => {
    timer = undefined;
    if (frame === awaited) onFrame();
    else awaitFrame();
  }, NO_FRAME_MS);
}
