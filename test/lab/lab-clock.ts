import { AsyncLocalStorage } from "node:async_hooks";
import { setImmediate } from "node:timers";

/** Something that sets timers, such as an execution of a function. When it has ended, none of them fires. */
export interface Owner {
  readonly alive: boolean;
  readonly timers: TimerCount;
}

/** On a deployment, a cleared timer keeps running until its time has come, and counts. */
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
  isCleared: boolean;
}

const FRAME_MS = 16;

/** One for all runs, because each that was ever used slows down every promise. */
const ownership = new AsyncLocalStorage<Owner>();

/** 14 November 2023. */
const EPOCH = 1_700_000_000_000;

/**
 * The time of one run, which goes from timer to timer. `time` (ms) only moves
 * forward. `Date.now()` can also jump.
 */
export class LabClock {
  time = 0;
  /** How late (ms) a timer without an owner fires, such as the start of a scheduled function. */
  lateness: () => number = () => 0;
  /** Called after a timer without an owner: a scheduled function may have run. */
  afterScheduled: () => void = () => {};
  /** Whether the tab is hidden, so no frames are painted. */
  isHidden = false;
  /** How many turns React may take until it has rendered. */
  turns = 1;
  private readonly frames: (() => void)[] = [];
  private skew = 0;
  private nextId = 1;
  private readonly timers: Timer[] = [];

  now(): number {
    return Math.floor(EPOCH + this.time + this.skew);
  }

  /** Changes only what `Date.now()` says. */
  jump(ms: number): void {
    this.skew += ms;
  }

  /** Time passes in which nothing runs. Timers that were due fire afterwards. */
  stall(ms: number): void {
    this.time += ms;
  }

  /** Runs something as this owner: all timers that it sets belong to it. */
  as<T>(owner: Owner, run: () => T): T {
    return ownership.run(owner, run);
  }

  /** Runs something without an owner. */
  asNobody<T>(run: () => T): T {
    return ownership.exit(run);
  }

  /** Waits without an owner. */
  wait(ms: number): Promise<void> {
    return new Promise((resolve) => this.add(undefined, resolve, ms));
  }

  /** Waits like the app's own code in an action: ends with the action, and is not counted. */
  waitIn(owner: Owner, ms: number): Promise<void> {
    return new Promise((resolve) => {
      const fire = () => {
        if (owner.alive) resolve();
      };
      this.add(undefined, fire, ms);
    });
  }

  /** The tab is visible again, so frames are painted. */
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
    const timer = { id: this.nextId++, due, owner, callback, isCleared: false };
    let at = this.timers.length;
    while (at > 0 && this.timers[at - 1]!.due > due) at--;
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
    if (timer === undefined || timer.isCleared) return;
    timer.isCleared = true;
    if (timer.owner !== undefined) timer.owner.timers.armed--;
  }

  /** Everything happens that takes no time. */
  async settle(): Promise<void> {
    for (let turn = 0; turn < this.turns; turn++) {
      await new Promise((resolve) => setImmediate(resolve));
    }
  }

  /** Goes from timer to timer until a condition holds, nothing is left to happen, or `limit` (ms) has passed. */
  async runUntil(condition: () => boolean, limit: number): Promise<void> {
    const end = this.time + limit;
    await this.settle();
    while (!condition()) {
      const timer = this.timers[0];
      if (timer === undefined) return;
      if (timer.due > end) {
        this.time = Math.max(this.time, end);
        return;
      }
      this.timers.shift();
      this.time = Math.max(this.time, timer.due);
      const { owner, isCleared, callback } = timer;
      if (owner !== undefined) owner.timers.running--;
      if (isCleared) continue;
      if (owner !== undefined) owner.timers.armed--;
      if (owner?.alive === false) continue;
      callback();
      await this.settle();
    }
  }

  /** Replaces the real clock while `run` runs. */
  async during<T>(run: () => Promise<T>): Promise<T> {
    const { setTimeout, clearTimeout, Date } = globalThis;
    const { requestAnimationFrame, cancelAnimationFrame } = globalThis;
    const realNow = performance.now.bind(performance);
    const now = () => this.now();
    const clear = (id: number) => this.clear(id);
    Object.assign(globalThis, {
      setTimeout: this.setTimeout,
      clearTimeout: clear,
      requestAnimationFrame: (paint: () => void) =>
        this.setTimeout(() => {
          if (this.isHidden) this.frames.push(paint);
          else paint();
        }, FRAME_MS),
      cancelAnimationFrame: clear,
      Date: class extends Date {
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
      const timers = { setTimeout, clearTimeout };
      const frames = { requestAnimationFrame, cancelAnimationFrame };
      Object.assign(globalThis, { ...timers, ...frames, Date });
    }
  }

  private readonly setTimeout = (callback: () => void, ms = 0): number => {
    const owner = ownership.getStore();
    if (owner === undefined) {
      const fire = () => {
        callback();
        void this.wait(1).then(() => this.afterScheduled());
      };
      return this.add(owner, fire, ms + this.lateness());
    }
    // A function that has ended sets no more timers.
    if (!owner.alive) return 0;
    return this.add(owner, () => ownership.run(owner, callback), ms);
  };
}
