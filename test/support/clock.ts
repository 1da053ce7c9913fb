import { afterEach, beforeEach, vi } from "vitest";

/** Gives each test of a file a clock that stands still until the test moves it. */
export function useClock(): void {
  beforeEach(() => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout", "Date"] });
  });
  afterEach(() => {
    vi.useRealTimers();
  });
}

/** Runs the clock until a promise is settled: from timer to timer, as fast as it goes. */
export async function settled<T>(promise: Promise<T>): Promise<T> {
  let pending = true;
  const end = () => (pending = false);
  promise.then(end, end);
  while (pending) await vi.advanceTimersToNextTimerAsync();
  return promise;
}

/** Runs the clock until a condition holds. */
export async function until(condition: () => boolean): Promise<void> {
  while (!condition()) await vi.advanceTimersByTimeAsync(10);
}

/** Runs what is scheduled for now, and what that schedules in turn. Checks that are planned for later stay planned. */
export async function finishDue(
  t: { finishInProgressScheduledFunctions: () => Promise<void> },
  jobs: () => Promise<{ scheduledTime: number; state: { kind: string } }[]>,
) {
  const isDue = (job: { scheduledTime: number; state: { kind: string } }) =>
    job.scheduledTime <= Date.now() && job.state.kind === "pending";
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
