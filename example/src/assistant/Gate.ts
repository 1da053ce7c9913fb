/** What lets through whoever comes while it is open, and has the others wait. */
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
