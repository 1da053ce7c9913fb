/** Lets callers pass while it is open, and makes them wait while it is closed. */
export class Gate {
  private isOpen = true;
  private waiting: (() => void)[] = [];

  set(isOpen: boolean): void {
    this.isOpen = isOpen;
    if (isOpen) for (const goOn of this.waiting.splice(0)) goOn();
  }

  async passage(): Promise<void> {
    if (this.isOpen) return;
    await new Promise<void>((resolve) => this.waiting.push(resolve));
  }
}
