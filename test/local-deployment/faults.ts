/** What goes wrong, on purpose. All of it can be changed while the deployment runs. */
export interface FaultSettings {
  /**
   * Milliseconds that a mutation takes beyond its own work. Mutations wait
   * beside one another, not one after the other. Half of the time passes before
   * it runs and half after it has committed.
   */
  commitDelayMs: number;
  /** How many of the next commits are refused: nothing is written, the caller gets an error. */
  refuseCommits: number;
  /** How many of the next commits lose their answer: they are applied, the caller gets an error. */
  loseAnswers: number;
  /** Refuse and lose only mutations whose path contains this, e.g. `lib:append`. Empty: all. */
  only: string;
}

const NO_FAULTS: FaultSettings = {
  commitDelayMs: 0,
  refuseCommits: 0,
  loseAnswers: 0,
  only: "",
};

/** An error that the deployment was told to make. */
export class InjectedFault extends Error {
  override name = "InjectedFault";
}

/** The error of a commit that was refused; a scheduled mutation is run again. */
export class CommitRefused extends InjectedFault {
  override name = "CommitRefused";
}

export class Faults {
  readonly settings: FaultSettings = { ...NO_FAULTS };

  set(changes: Partial<FaultSettings>): void {
    for (const [name, value] of Object.entries(changes)) {
      if (!(name in NO_FAULTS)) {
        throw new Error(
          `There is no fault "${name}". There are: ${Object.keys(NO_FAULTS).join(", ")}.`,
        );
      }
      const expected = typeof NO_FAULTS[name as keyof FaultSettings];
      if (typeof value !== expected) {
        throw new Error(`The fault "${name}" takes a ${expected}.`);
      }
    }
    Object.assign(this.settings, changes);
  }

  /** Throws if the commit of this mutation is to be refused. */
  beforeCommit(path: string): void {
    if (!this.concerns(path) || this.settings.refuseCommits === 0) return;
    this.settings.refuseCommits--;
    throw new CommitRefused(
      `The commit of "${path}" was refused, as the deployment was told to. Nothing was written.`,
    );
  }

  /** Throws if the answer of this committed mutation is to be lost. */
  afterCommit(path: string): void {
    if (!this.concerns(path) || this.settings.loseAnswers === 0) return;
    this.settings.loseAnswers--;
    throw new InjectedFault(
      `The answer of "${path}" was lost, as the deployment was told to. It may have been applied.`,
    );
  }

  private concerns(path: string): boolean {
    return path.includes(this.settings.only);
  }
}
