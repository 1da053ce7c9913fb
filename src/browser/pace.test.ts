import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { cancelUpdate, onNextFrame, rendered, rendering } from "./pace.js";

const useClock = () =>
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
beforeEach(() => void useClock());
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** A page that paints when it is told to. */
function pageWithFrames() {
  const requested = new Map<number, () => void>();
  const request = vi.fn((paint: () => void) => {
    requested.set(request.mock.calls.length, paint);
    return request.mock.calls.length;
  });
  vi.stubGlobal("requestAnimationFrame", request);
  vi.stubGlobal("cancelAnimationFrame", (id: number) => requested.delete(id));
  const paint = () => {
    const all = [...requested.values()];
    requested.clear();
    for (const one of all) one();
  };
  return { request, open: () => requested.size, paint };
}

/** How many updates there are in 10 s if each takes so long (ms) to render and the next is always due. */
function updates(took: number | null, paint = () => {}): number {
  let isOver = false;
  const update = vi.fn(() => {
    if (isOver) return;
    rendering();
    // Every component that renders it says so.
    setTimeout(rendering, took! / 2);
    const finish = () => {
      rendered();
      rendered();
      onNextFrame(update);
    };
    if (took === null) onNextFrame(update);
    else setTimeout(finish, took);
  });
  onNextFrame(update);
  for (let now = 0; now < 10_000; now += 16) {
    vi.advanceTimersByTime(16);
    paint();
  }
  isOver = true;
  return update.mock.calls.length;
}

test.each([
  // Without frames, the quickest pace is one update in 100 ms.
  { took: 1, frames: false, most: 100, least: 90 },
  { took: 100, frames: false, most: 50, least: 33 },
  { took: 400, frames: false, most: 13, least: 10 },
  // React has thrown the rendering away.
  { took: null, frames: false, most: 10, least: 9 },
  { took: 1, frames: true, most: 625, least: 600 },
  { took: 20, frames: true, most: 313, least: 300 },
  { took: 30, frames: true, most: 157, least: 150 },
])("renderings get at most half of the time: %j", (row) => {
  const count = updates(
    row.took,
    row.frames ? pageWithFrames().paint : undefined,
  );
  expect(count).toBeLessThanOrEqual(row.most);
  expect(count).toBeGreaterThanOrEqual(row.least);
});

test("updates that are slow themselves get at most half of the time", () => {
  const update = vi.fn(() => {
    vi.advanceTimersByTime(400);
    onNextFrame(update);
  });
  onNextFrame(update);
  vi.advanceTimersByTime(10_000);
  cancelUpdate(update);
  expect(update.mock.calls.length).toBeLessThanOrEqual(25);
});

test("an update is made once per frame, with few timers", () => {
  const { request, paint } = pageWithFrames();
  const set = vi.spyOn(globalThis, "setTimeout");
  const update = vi.fn();
  for (let frame = 1; frame <= 100; frame++) {
    onNextFrame(update);
    vi.advanceTimersByTime(16);
    onNextFrame(update);
    expect(update).toHaveBeenCalledTimes(frame - 1);
    paint();
    expect(update).toHaveBeenCalledTimes(frame);
  }
  expect(request).toHaveBeenCalledTimes(100);
  expect(set.mock.calls.length).toBeLessThanOrEqual(17);
  vi.advanceTimersByTime(1000);
  expect(update).toHaveBeenCalledTimes(100);
  expect(vi.getTimerCount()).toBe(0);
});

test("in a hidden tab, updates are made without frames, and no requests for frames pile up", () => {
  const { open } = pageWithFrames();
  const update = vi.fn(() => onNextFrame(update));
  onNextFrame(update);
  vi.advanceTimersByTime(10_000);
  expect(update).toHaveBeenCalledTimes(100);
  expect(open()).toBe(1);
  cancelUpdate(update);
});

test("an update that is cancelled is not made, and does not delay or stop another", () => {
  const [cancelled, other] = [vi.fn(), vi.fn()];
  const failing = () => {
    throw new Error("The app failed.");
  };
  onNextFrame(failing);
  onNextFrame(other);
  for (let i = 0; i < 3; i++) {
    onNextFrame(cancelled);
    vi.advanceTimersByTime(30);
    cancelUpdate(cancelled);
  }
  expect(() => vi.advanceTimersByTime(11)).toThrow("The app failed.");
  expect(cancelled).not.toHaveBeenCalled();
  expect(other).toHaveBeenCalledOnce();
});

test.each([
  { how: "cleared, and no one waits for it", clears: true },
  { how: "replaced, though someone waits", clears: false },
])("a frame is forgotten if the clock it counts on is $how", ({ clears }) => {
  const [lost, next] = [vi.fn(), vi.fn()];
  onNextFrame(lost);
  if (clears) {
    vi.clearAllTimers();
    cancelUpdate(lost);
  } else {
    vi.useRealTimers();
    useClock();
  }
  onNextFrame(next);
  vi.advanceTimersByTime(100);
  expect(next).toHaveBeenCalledOnce();
  expect(lost).toHaveBeenCalledTimes(clears ? 0 : 1);
});
