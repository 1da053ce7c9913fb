import { AsyncLocalStorage } from "node:async_hooks";
import { setImmediate } from "node:timers";

/** What sets timers: an execution of a function. When it has ended, none of its timers fires any more. */
export interface Owner {
  readonly alive: boolean;
  /** Called with each change of how many of its timers will fire, and of how many a deployment counts as running. */
  timers: TimerCount;
}

/** On a deployment a timer that is cleared goes on until its time has come, and counts. */
export class TimerCount {
  armed = 0;
  running = 0;
  mostRunning = 0;
}

interface Timer {
  id: number;
  due: number;
  owner: Owner | undefined;
  callback: () => void;
  cleared: boolean;
}

const FRAME_MS = 16;

/** One for all runs: each that is ever used costs every promise a step. */
const ownership = new AsyncLocalStorage<Owner>();

/** 14 November 2023, at noon or so. */
const EPOCH = 1_700_000_000_000;

/**
 * The time of one run: it goes from timer to timer. `time` (ms) only goes on,
 * as timers do; what `Date.now()` says can also jump.
 */
export class LabClock {
  time = 0;
  /** How late (ms) a timer of nobody's fires: those by which scheduled functions start. */
  lateness: () => number = () => 0;
  /** Whether the page is in a hidden tab, where no frames are painted. */
  isHidden = false;
  private readonly frames: (() => void)[] = [];
  /** Called after a timer of nobody's has fired: a scheduled function may have run. */
  afterScheduled: () => void = () => {};
  private skew = 0;
  private nextId = 1;
  private timers: Timer[] = [];

  now(): number {
    return Math.floor(EPOCH + this.time + this.skew);
  }

  /** Changes what `Date.now()` says, and nothing else: NTP sets it back, a laptop that slept forward. */
  jump(ms: number): void {
    this.skew += ms;
  }

  /** Time goes by in which nothing runs: the timers that were due fire afterwards, late. */
  stall(ms: number): void {
    this.time += ms;
  }

  /** Runs something as this owner: the timers that it sets, now or later, are its own. */
  as<T>(owner: Owner, run: () => T): T {
    return ownership.run(owner, run);
  }

  /** Runs something that is nobody's. */
  asNobody<T>(run: () => T): T {
    return ownership.exit(run);
  }

  /** Waits, as nobody: what is left of it does not keep an action alive. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => this.add(undefined, resolve, ms));
  }

  /** Waits as the code that an app gives to an action does: it ends with it, and is not counted. */
  waitIn(owner: Owner, ms: number): Promise<void> {
    const uncounted = {
      get alive() {
        return owner.alive;
      },
      timers: new TimerCount(),
    };
    return new Promise((resolve) => this.add(uncounted, resolve, ms));
  }

  /** The tab is shown again: what waited for a frame gets one. */
  show(): void {
    this.isHidden = false;
    for (const paint of this.frames.splice(0)) paint();
  }

  private add(
    owner: Owner | undefined,
    callback: () => void,
    ms: number,
  ): number {
    const due = this.time + Math.max(0, Number.isFinite(ms) ? ms : 0);
    const timer = { id: this.nextId++, due, owner, callback, cleared: false };
    let at = this.timers.length;
    while (at > 0 && (this.timers[at - 1] as Timer).due > due) at--;
    this.timers.splice(at, 0, timer);
    if (owner !== undefined) {
      const count = owner.timers;
      count.armed++;
      count.running++;
      count.mostRunning = Math.max(count.mostRunning, count.running);
    }
    return timer.id;
  }

  private clear(id: number): void {
    const timer = this.timers.find((one) => one.id === id);
    if (timer === undefined || timer.cleared) return;
    timer.cleared = true;
    if (timer.owner !== undefined) timer.owner.timers.armed--;
  }

  /** How often React may hand on to itself before it has rendered. */
  turns = 1;

  /** Lets all happen that can without time going by. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < this.turns; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /**
   * Goes from timer to timer until a condition holds.
   *
   * @returns Whether it does: not if nothing is left to happen, or if it takes longer than `limit` (ms).
   */
  async runUntil(condition: () => boolean, limit: number): Promise<boolean> {
    const end = this.time + limit;
    await this.settle();
    while (!condition()) {
      const timer = this.timers.shift();
      if (timer === undefined) return false;
      if (timer.due > end) {
        this.timers.unshift(timer);
        this.time = Math.max(this.time, end);
        return false;
      }
      this.time = Math.max(this.time, timer.due);
      const { owner } = timer;
      if (owner !== undefined) owner.timers.running--;
      if (timer.cleared) continue;
      if (owner !== undefined) owner.timers.armed--;
      if (owner?.alive === false) continue;
      timer.callback();
      await this.settle();
    }
    return true;
  }

  /** Puts this clock in place of the real one while `run` does. */
  async during<T>(run: () => Promise<T>): Promise<T> {
    const real = {
      setTimeout: globalThis.setTimeout,
      clearTimeout: globalThis.clearTimeout,
      Date: globalThis.Date,
      requestAnimationFrame: globalThis.requestAnimationFrame,
      cancelAnimationFrame: globalThis.cancelAnimationFrame,
    };
    const realNow = performance.now.bind(performance);
    const now = () => this.now();
    const setTimeout = (callback: () => void, ms = 0) => {
      const owner = ownership.getStore();
      // A function whose life is over sets no more timers.
      if (owner?.alive === false) return 0;
      const fire =
        owner === undefined
          ? () => {
              callback();
              void this.wait(1).then(() => this.afterScheduled());
            }
          : () => ownership.run(owner, callback);
      return this.add(
        owner,
        fire,
        owner === undefined ? ms + this.lateness() : ms,
      );
    };
    Object.assign(globalThis, {
      setTimeout,
      clearTimeout: (id: number) => this.clear(id),
      requestAnimationFrame: (paint: () => void) =>
        setTimeout(() => {
          if (this.isHidden) this.frames.push(paint);
          else paint();
        }, FRAME_MS),
      cancelAnimationFrame: (id: number) => this.clear(id),
      Date: class extends real.Date {
        constructor(time: number = now()) {
          super(time);
        }
        static override now = now;
      },
    });
    performance.now = () => this.time;
    try {
      return await run();
    } finally {
      performance.now = realNow;
      Object.assign(globalThis, real);
    }
  }
}
