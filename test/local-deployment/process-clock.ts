import { AsyncResource } from "node:async_hooks";
import { clearTimeout, setImmediate, setTimeout } from "node:timers";

const MachineDate = Date;
const machineNow = Date.now.bind(Date);
/** Globals that a function sets are its own. Those of this context are shared. */
const outside = new AsyncResource("ProcessClock");

/** A timer on the stopped clock. */
interface Timer {
  at: number;
  run: () => void;
  /** Set once the clock runs again. */
  real?: NodeJS.Timeout;
}

/**
 * The time of the deployments in this process: the machine's, or later, or stopped. It
 * is what code here sees as `Date`, and what crons and scheduled functions wait for.
 *
 * Timers that are set while the clock is stopped wait for it. That way a four-minute
 * reply takes only as long as its work, and the counts depend on the text and the pace,
 * not on the machine.
 */
class ProcessClock {
  private aheadMs = 0;
  private stoppedAt: number | null = null;
  private readonly timers = new Set<Timer>();
  private isInstalled = false;

  now(): number {
    return this.stoppedAt ?? machineNow() + this.aheadMs;
  }

  /** Sets the clock ahead of the machine's. Timers are unchanged. */
  set(aheadMs: number): void {
    this.aheadMs = aheadMs;
    if (aheadMs !== 0) this.install();
  }

  /** Stops the clock. Timers that were set before go by the machine's. */
  stop(): void {
    this.install();
    this.stoppedAt ??= this.now();
  }

  start(): void {
    if (this.stoppedAt === null) return;
    this.aheadMs = this.stoppedAt - machineNow();
    this.stoppedAt = null;
    for (const timer of this.timers) {
      timer.real = setTimeout(() => {
        this.timers.delete(timer);
        timer.run();
      }, timer.at - this.now());
    }
  }

  /**
   * Waits until `time` (ms since 1970), or lets the stopped clock get there.
   *
   * @param idle Resolves when all calls that a timer made have been answered.
   */
  async until(time: number, idle = () => Promise.resolve()): Promise<void> {
    if (this.stoppedAt === null) {
      const wait = time - this.now();
      if (wait > 0) await new Promise((goOn) => setTimeout(goOn, wait));
      return;
    }
    for (;;) {
      const [due] = [...this.timers]
        .filter(({ at }) => at <= time)
        .sort((a, b) => a.at - b.at);
      this.stoppedAt = Math.max(this.stoppedAt, due?.at ?? time);
      if (due === undefined) return;
      this.timers.delete(due);
      due.run();
      // Lets what the timer started run until it waits for something.
      await new Promise((goOn) => setImmediate(goOn));
      await idle();
    }
  }

  private install(): void {
    if (this.isInstalled) return;
    this.isInstalled = true;
    const now = () => Math.floor(this.now());
    const set = (
      run: (...args: unknown[]) => void,
      wait = 0,
      ...args: unknown[]
    ) => {
      if (this.stoppedAt === null) return setTimeout(run, wait, ...args);
      // The callback runs in the async context that set the timer, as with a real one.
      const callback = AsyncResource.bind(() => run(...args));
      const timer: Timer = { at: this.stoppedAt + wait, run: callback };
      this.timers.add(timer);
      return timer;
    };
    const clear = (timer?: Timer | NodeJS.Timeout) => {
      const isOurs = this.timers.delete(timer as Timer);
      clearTimeout(isOurs ? (timer as Timer).real : (timer as NodeJS.Timeout));
    };
    outside.runInAsyncScope(() =>
      Object.assign(globalThis, {
        setTimeout: set,
        clearTimeout: clear,
        Date: new Proxy(MachineDate, {
          construct: (date, args, newTarget) =>
            Reflect.construct(
              date,
              args.length === 0 ? [now()] : args,
              newTarget,
            ) as object,
          apply: () => new MachineDate(now()).toString(),
          get: (date, name) =>
            name === "now" ? now : (Reflect.get(date, name) as unknown),
        }),
      }),
    );
  }
}

/** One for the process, however often this module is loaded. */
const shared = globalThis as { processClock?: ProcessClock };
export const clock = (shared.processClock ??= new ProcessClock());
