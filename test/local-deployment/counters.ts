/** What the deployment has done since it started, or since the last reset. */
export const newCounters = () => ({
  /** Mutations that wrote and committed. */
  commits: 0,
  /** Runs of a query's code, without answers from the cache. */
  queryRuns: 0,
  /**
   * Function calls as Convex bills them: calls from clients, HTTP actions,
   * calls from actions, scheduled runs and crons, and every update of a
   * subscription, even if its result is the same.
   */
  functionCalls: 0,
  documentsRead: 0,
  bytesRead: 0,
  documentsWritten: 0,
  bytesWritten: 0,
  /** Bytes of the Transition messages sent to clients. */
  bytesPushed: 0,
});

export type Counters = ReturnType<typeof newCounters>;
