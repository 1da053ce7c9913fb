import { afterAll, beforeAll, expect, test, vi } from "vitest";
import { onNextFrame, rendered, rendering } from "./pace.js";

// One clock for all: the pace is the page's.
beforeAll(() => {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "performance"] });
});
afterAll(() => void vi.useRealTimers());

/** How many updates there are in 10 s if each takes so long (ms) to render and the next is always due. */
function updates(took: number | null): number {
  let count = 0;
  let isOver = false;
  const update = () => {
    if (isOver) return;
    count++;
    rendering();
    const finish = () => {
      rendered();
      onNextFrame(update);
    };
    if (took === null) onNextFrame(update);
    else setTimeout(finish, took);
  };
  onNextFrame(update);
  vi.advanceTimersByTime(10_000);
  isOver = true;
  const all = count;
  vi.advanceTimersByTime(10_000);
  return all;
}

// There are no frames here, so the quickest pace is one update in 100 ms.
test.each([
  { took: 1, most: 100, least: 90 },
  { took: 100, most: 50, least: 33 },
  { took: 400, most: 13, least: 10 },
  // React has thrown the rendering away.
  { took: null, most: 10, least: 9 },
])("renderings of $took ms get at most half of the time", (row) => {
  const count = updates(row.took);
  expect(count).toBeLessThanOrEqual(row.most);
  expect(count).toBeGreaterThanOrEqual(row.least);
});

test("an update that is cancelled is not made", () => {
  const update = vi.fn();
  onNextFrame(update)();
  vi.advanceTimersByTime(1000);
  expect(update).not.toHaveBeenCalled();
});
