/** A request that was lost is made again after so long (ms): the first time, doubling, and at most. */
const FIRST_RETRY = 1000;
const LONGEST_RETRY = 10_000;

/** How long (ms) to wait after so many losses in a row, from 1 on. */
export function retryDelay(losses: number): number {
  return Math.min(FIRST_RETRY * 2 ** (losses - 1), LONGEST_RETRY);
}
