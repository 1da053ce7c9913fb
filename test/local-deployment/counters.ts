/** What the deployment has done since it started, or since the last reset. */
export interface Counters {
  /** Mutations that wrote and committed. */
  commits: number;
  /** Runs of a query's code; answers from the cache are not among them. */
  queryRuns: number;
  /**
   * Function calls as Convex bills them: calls from clients, HTTP actions,
   * calls from actions, scheduled runs and crons, and every update of a
   * subscription (also one whose result turns out to be the same).
   */
  functionCalls: number;
  documentsRead: number;
  /** Bytes of the documents read. */
  bytesRead: number;
  documentsWritten: number;
  /** Bytes of the documents written. */
  bytesWritten: number;
  /** Bytes of the Transition messages sent to clients. */
  bytesPushed: number;
  /** Transition messages sent to clients. */
  transitions: number;
}

/** The figures of one transaction. */
export type RunFigures = Pick<
  Counters,
  "documentsRead" | "bytesRead" | "documentsWritten" | "bytesWritten"
>;

export class CounterBoard {
  private figures = zero();

  add(name: keyof Counters, amount = 1): void {
    this.figures[name] += amount;
  }

  addRun(run: RunFigures): void {
    this.figures.documentsRead += run.documentsRead;
    this.figures.bytesRead += run.bytesRead;
    this.figures.documentsWritten += run.documentsWritten;
    this.figures.bytesWritten += run.bytesWritten;
  }

  read(): Counters {
    return { ...this.figures };
  }

  reset(): void {
    this.figures = zero();
  }
}

function zero(): Counters {
  return {
    commits: 0,
    queryRuns: 0,
    functionCalls: 0,
    documentsRead: 0,
    bytesRead: 0,
    documentsWritten: 0,
    bytesWritten: 0,
    bytesPushed: 0,
    transitions: 0,
  };
}
