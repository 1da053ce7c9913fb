/** How long (ms) an update waits at most where frames are not painted, as in a hidden tab. */
const LONGEST_FRAME = 100;

/** Runs `update` once, with the next frame. Returns how to cancel it. */
export function onNextFrame(update: () => void): () => void {
  const cancel = () => {
    clearTimeout(timer);
    if (frame !== undefined) cancelAnimationFrame(frame);
  };
  const run = () => {
    cancel();
    update();
  };
  const timer = setTimeout(run, LONGEST_FRAME);
  const frame =
    typeof requestAnimationFrame === "function"
      ? requestAnimationFrame(run)
      : undefined;
  return cancel;
}
