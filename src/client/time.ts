/** Times are in ms. */
export function sleep(time: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, Math.max(0, time)));
}

/** How long to wait after so many failures in a row: 100 ms, doubling to 5 s. */
export function backOff(failures: number): number {
  return Math.min(5000, 100 * 2 ** (failures - 1));
}

/** The result of the first of so many attempts that succeeds, or the error of the last one. */
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
