/**
 * Turns at the database: one transaction at a time, first come, first served.
 * Queries that bring subscriptions up to date go first, and no other transaction
 * starts while they run, so results that are pushed together were all read from
 * the same state.
 */
export class Turns {
  private busy = false;
  private holds = 0;
  private readonly first: (() => void)[] = [];
  private readonly others: (() => void)[] = [];

  /** Resolves when it is the caller's turn, which it must `release`. */
  async take(goesFirst: boolean): Promise<void> {
    await new Promise<void>((resolve) => {
      (goesFirst ? this.first : this.others).push(resolve);
      this.next();
    });
  }

  release(): void {
    this.busy = false;
    this.next();
  }

  /** From now on, only those that go first get a turn. */
  hold(): void {
    this.holds++;
  }

  unhold(): void {
    this.holds--;
    this.next();
  }

  private next(): void {
    if (this.busy) return;
    const grant =
      this.first.shift() ??
      (this.holds === 0 ? this.others.shift() : undefined);
    if (grant === undefined) return;
    this.busy = true;
    grant();
  }
}
