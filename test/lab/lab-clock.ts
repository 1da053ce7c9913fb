import { AsyncLocalStorage } from "node:async_hooks";
import { setImmediate } from "node:timers";
import { vi } from "vitest";

/** Something that sets timers, such as an execution of a function. When it has ended, they no longer fire. */
export interface Owner {
  readonly alive: boolean;
  readonly timers: TimerCount;
}

/** On a deployment, a cleared timer keeps running until it is due, and still counts. */
export class TimerCount {
  armed = 0;
  running = 0;
  mostRunning = 0;
}

interface Timer {
  owner: Owner | undefined;
  /** Whether it has fired or was cleared. */
  isOver: boolean;
}

const REPLACED = [
  ...(["setTimeout", "clearTimeout", "Date", "performance"] as const),
  ...(["requestAnimationFrame", "cancelAnimationFrame"] as const),
] as const;
const FRAME_MS = 16;
/** 14 November 2023. */
const EPOCH = 1_700_000_000_000;

/** One for all runs, because each storage in use slows down every promise. */
const ownership = new AsyncLocalStorage<Owner>();

/**
 * The time of one run, which jumps from timer to timer: Vitest's fake clock, with owners.
 * `time` (ms) only moves forward. `Date.now()` can also jump.
 */
export class LabClock {
  /** How late (ms) a timer without an owner fires. Scheduled functions start with such timers. */
  lateness: () => number = () => 0;
  /** Called after a timer without an owner: a scheduled function may have run. */
  afterScheduled: () => void = () => {};
  /** Whether the tab is hidden, so no frames are painted. */
  isHidden = false;
  /** How many turns React may take until it has rendered. */
  turns = 1;
  private readonly frames: (() => void)[] = [];
  /** Sorted by the time when they are due. */
  private readonly queue: { due: number; callback: () => void }[] = [];

  get time(): number {
    return performance.now();
  }

  /** Changes only what `Date.now()` says. */
  jump(ms: number): void {
    vi.setSystemTime(Date.now() + ms);
  }

  /** Time passes in which nothing runs. Timers that were due fire afterwards. */
  stall(ms: number): void {
    vi.advanceTimersByTime(ms);
  }

  /** Runs something as this owner: the timers it sets belong to the owner. */
  as<T>(owner: Owner, run: () => T): T {
    return ownership.run(owner, run);
  }

  /** Runs something without an owner. */
  asNobody<T>(run: () => T): T {
    return ownership.exit(run);
  }

  /** Waits with a timer that does not count. If the owner ends meanwhile, this never resolves. */
  wait(ms: number, owner?: Owner): Promise<void> {
    return new Promise((resolve) => {
      this.after(ms, () => owner?.alive !== false && resolve());
    });
  }

  /** The tab is visible again, so frames are painted. */
  show(): void {
    this.isHidden = false;
    for (const paint of this.frames.splice(0)) paint();
  }

  private after(ms: number, callback: () => void): void {
    const due = this.time + Math.ceil(Math.max(0, ms || 0));
    const before = this.queue.findLastIndex((one) => one.due <= due);
    this.queue.splice(before + 1, 0, { due, callback });
  }

  /** Lets everything happen that takes no time. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < this.turns; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Goes from timer to timer until a condition holds, or `limit` (ms) has passed. */
  async runUntil(condition: () => boolean, limit: number): Promise<void> {
    const end = this.time + limit;
    await this.settle();
    while (!condition()) {
      const { due = Infinity, callback } = this.queue[0] ?? {};
      const wait = Math.min(due, end) - this.time;
      if (wait > 0) vi.advanceTimersByTime(wait);
      if (due > end) return;
      this.queue.shift();
      callback?.();
      await this.settle();
    }
  }

  /** Runs something with a new clock in place of the real one. */
  static async during<T>(run: (clock: LabClock) => Promise<T>): Promise<T> {
    const { fetch } = globalThis;
    vi.useFakeTimers({ now: EPOCH, toFake: [...REPLACED] });
    const clock = new LabClock();
    const { setTimeout, clear } = clock;
    const requestAnimationFrame = (paint: () => void) =>
      setTimeout(() => {
        if (clock.isHidden) clock.frames.push(paint);
        else paint();
      }, FRAME_MS);
    Object.assign(globalThis, {
      ...{ setTimeout, clearTimeout: clear },
      ...{ requestAnimationFrame, cancelAnimationFrame: clear },
    });
    try {
      return await run(clock);
    } finally {
      vi.useRealTimers();
      globalThis.fetch = fetch;
    }
  }

  private readonly setTimeout = (callback: () => void, ms = 0): Timer => {
    const owner = ownership.getStore();
    const timer: Timer = { owner, isOver: false };
    if (owner === undefined) {
      this.after(ms + this.lateness(), () => {
        if (timer.isOver) return;
        callback();
        void this.wait(1).then(() => this.afterScheduled());
      });
      return timer;
    }
    // A function that has ended sets no more timers.
    if (!owner.alive) return timer;
    const { timers } = owner;
    timers.armed++;
    timers.running++;
    timers.mostRunning = Math.max(timers.mostRunning, timers.running);
    this.after(ms, () => {
      timers.running--;
      if (timer.isOver) return;
      this.clear(timer);
      if (owner.alive) ownership.run(owner, callback);
    });
    return timer;
  };

  private readonly clear = (timer?: Timer | null): void => {
    if (timer == null || timer.isOver) return;
    timer.isOver = true;
    if (timer.owner !== undefined) timer.owner.timers.armed--;
  };
}
