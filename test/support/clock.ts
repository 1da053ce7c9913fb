import { afterEach, beforeEach, vi } from "vitest";

/** Gives each test of a file a clock that stands still until the test moves it. */
export function useClock(): void {
  beforeEach(() => {
    vi.useFakeTimers({
      toFake: [
        "setTimeout",
        "clearTimeout",
        "setInterval",
        "clearInterval",
        "Date",
      ],
    });
  });
  afterEach(() => {
    vi.useRealTimers();
  });
}

/**
 * Runs the clock until a promise is settled: from timer to timer, as fast as it goes.
 * Fails soon, not at the test's time-out, if there is nothing left to wait for.
 */
export async function settled<T>(promise: Promise<T>): Promise<T> {
  let pending = true;
  const end = () => (pending = false);
  promise.then(end, end);
  const deadline = Date.now() + 3 * 60 * 60_000;
  for (let idle = 0; pending;) {
    if (idle > 3000 || Date.now() > deadline) throw new Error("It hangs.");
    await vi.advanceTimersToNextTimerAsync();
    idle = vi.getTimerCount() === 0 ? idle + 1 : 0;
  }
  return promise;
}

/** Runs the clock until a condition holds. */
export async function until(condition: () => boolean): Promise<void> {
  const deadline = Date.now() + 10 * 60_000;
  while (!condition()) {
    if (Date.now() > deadline) throw new Error("It does not come true.");
    await vi.advanceTimersByTimeAsync(10);
  }
}

/** Runs what is scheduled for now, and what that schedules in turn. Checks that are planned for later stay planned. */
export async function finishDue(
  t: { finishInProgressScheduledFunctions: () => Promise<void> },
  jobs: () => Promise<{ scheduledTime: number; state: { kind: string } }[]>,
) {
  // Newer versions of convex-test let a mutation's time run some milliseconds ahead.
  const isDue = (job: { scheduledTime: number; state: { kind: string } }) =>
    job.scheduledTime <= Date.now() + 100 && job.state.kind === "pending";
  do {
    // A timer that is set while timers run is not called in the same millisecond.
    await vi.advanceTimersByTimeAsync(1);
    await t.finishInProgressScheduledFunctions();
  } while ((await jobs()).some(isDue));
}

/** Lets so much time (ms) go by. */
export async function pass(ms: number): Promise<void> {
  await vi.advanceTimersByTimeAsync(ms);
}

/** A promise and what settles it. */
export function deferred<T = void>() {
  let resolve!: (value: T) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((res, rej) => {
    resolve = res;
    reject = rej;
  });
  return { promise, resolve, reject };
}
