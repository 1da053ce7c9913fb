/** Times are in ms. */

let latest = -Infinity;
let correction = 0;

/**
 * A clock that never goes backwards, for measuring durations. `Date.now()` may jump,
 * for example when NTP corrects it.
 */
export function now(): number {
  const time = Date.now() + correction;
  if (time < latest) correction += latest - time;
  latest = Math.max(latest, time);
  return latest;
}

export function sleep(time: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, time)));
}

/** Sleeps until the time is over or the signal fires. */
export function pause(time: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const wake = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", wake);
      resolve();
    };
    const timer = setTimeout(wake, Math.max(0, time));
    signal?.addEventListener("abort", wake);
    if (signal?.aborted) wake();
  });
}

/** Waits for a promise, up to a limit. The promise must not reject. */
export async function waitAtMost(
  time: number,
  promise: Promise<unknown>,
): Promise<void> {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const late = new Promise((resolve) => {
    timer = setTimeout(resolve, Math.max(0, time));
  });
  await Promise.race([promise, late]);
  clearTimeout(timer);
}

/**
 * How long to wait after a number of consecutive failures, from 1: `first` ms, doubling
 * to `most`. The defaults are for the database.
 */
export function backOff(failures: number, first = 100, most = 5000): number {
  return Math.min(most, first * 2 ** (failures - 1));
}

/** The result of the first attempt that succeeds, or the error of the last one. */
export async function retry<T>(
  attempts: number,
  attempt: () => Promise<T>,
): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await attempt();
    } catch (error) {
      if (failures === attempts) throw error;
      await sleep(backOff(failures));
    }
  }
}

/** `AbortSignal.prototype.throwIfAborted`, which the polyfill of Convex's runtime may not have. */
export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortReason(signal);
}

/** Why a signal fired. React Native's signals have no `reason`, so this makes one: no one wants to catch `undefined`. */
function abortReason(signal: AbortSignal): unknown {
  if (signal.reason !== undefined) return signal.reason;
  const error = new Error("This operation was aborted.");
  error.name = "AbortError";
  return error;
}
