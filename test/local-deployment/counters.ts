/** What the deployment has done since it started, or since the last reset. */
export interface Counters {
  /** Mutations that wrote and committed. */
  commits: number;
  /** Runs of a query's code, without answers from the cache. */
  queryRuns: number;
  /**
   * Function calls as Convex bills them: calls from clients, HTTP actions,
   * calls from actions, scheduled runs and crons, and every update of a
   * subscription, even if its result is the same.
   */
  functionCalls: number;
  documentsRead: number;
  bytesRead: number;
  documentsWritten: number;
  bytesWritten: number;
  /** Bytes of the Transition messages sent to clients. */
  bytesPushed: number;
}

/** The figures of one transaction. */
export type RunFigures = Pick<
  Counters,
  "documentsRead" | "bytesRead" | "documentsWritten" | "bytesWritten"
>;

export function newCounters(): Counters {
  return {
    commits: 0,
    queryRuns: 0,
    functionCalls: 0,
    documentsRead: 0,
    bytesRead: 0,
    documentsWritten: 0,
    bytesWritten: 0,
    bytesPushed: 0,
  };
}
