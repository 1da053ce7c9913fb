/** What goes wrong, on purpose. All of it can be changed while the deployment runs. */
export interface FaultSettings {
  /**
   * How much longer (ms) a mutation takes. Mutations wait at the same time, half
   * of it before they run and half after they have committed.
   */
  commitDelayMs: number;
  /** How many of the next commits are refused: nothing is written, the caller gets an error. */
  refuseCommits: number;
  /** How many of the next commits lose their answer: they are applied, the caller gets an error. */
  loseAnswers: number;
  /** Refuse and lose only mutations whose path contains this, e.g. `lib:append`. */
  only: string;
}

/** An error that the deployment was told to make. */
export class InjectedFault extends Error {
  override name = "InjectedFault";
}

/** The error of a commit that was refused. A scheduled mutation is run again. */
export class CommitRefused extends InjectedFault {}

export class Faults {
  readonly settings: FaultSettings = {
    commitDelayMs: 0,
    refuseCommits: 0,
    loseAnswers: 0,
    only: "",
  };

  /** Throws if the commit of this mutation is to be refused. */
  beforeCommit(path: string): void {
    if (!this.strikes("refuseCommits", path)) return;
    throw new CommitRefused(
      `The commit of "${path}" was refused, as the deployment was told to. Nothing was written.`,
    );
  }

  /** Throws if the answer of this committed mutation is to be lost. */
  afterCommit(path: string): void {
    if (!this.strikes("loseAnswers", path)) return;
    throw new InjectedFault(
      `The answer of "${path}" was lost, as the deployment was told to. It may have been applied.`,
    );
  }

  private strikes(what: "refuseCommits" | "loseAnswers", path: string) {
    const { settings } = this;
    const isHit = settings[what] > 0 && path.includes(settings.only);
    if (isHit) settings[what]--;
    return isHit;
  }
}
