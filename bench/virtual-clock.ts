/**
 * A clock that the benchmark can stop. Import this before anything else: it replaces
 * the global `Date.now`, `setTimeout` and `clearTimeout`. While it is stopped, only
 * `advance` moves it. So a reply that takes a model four minutes finishes as soon as
 * its work is done, and the number of commits depends on the text and the pace, not on
 * the machine.
 */
import { AsyncResource } from "node:async_hooks";
import {
  clearTimeout as clearRealTimeout,
  setImmediate,
  setTimeout as setRealTimeout,
} from "node:timers";

const realNow = Date.now.bind(Date);

/** A timer on the stopped clock, with the part of `NodeJS.Timeout` that is used. */
class Timer {
  at = 0;
  readonly run: () => void;
  /** Set once the clock runs again. */
  real: NodeJS.Timeout | undefined;

  constructor(
    private readonly clock: Clock,
    run: () => void,
    private readonly delay: number,
  ) {
    // Like a real timer's, its callback runs in the context in which it was set.
    this.run = AsyncResource.bind(run);
    this.refresh();
  }

  refresh(): this {
    this.clock.set(this, this.delay);
    return this;
  }

  ref = () => this;
  unref = () => this;
}

class Clock {
  /** How far this clock is ahead of the real one, from having been advanced. */
  private ahead = 0;
  private stoppedAt: number | null = null;
  private readonly timers = new Set<Timer>();

  now(): number {
    return this.stoppedAt ?? realNow() + this.ahead;
  }

  get isStopped(): boolean {
    return this.stoppedAt !== null;
  }

  set(timer: Timer, delay: number): void {
    this.clear(timer);
    timer.at = this.now() + delay;
    this.timers.add(timer);
    if (!this.isStopped) this.arm(timer);
  }

  clear(timer: Timer): void {
    if (timer.real !== undefined) clearRealTimeout(timer.real);
    this.timers.delete(timer);
  }

  /** Stops the clock. Timers that were set before go by the real one. */
  stop(): void {
    this.stoppedAt ??= this.now();
  }

  start(): void {
    if (this.stoppedAt === null) return;
    this.ahead = this.stoppedAt - realNow();
    this.stoppedAt = null;
    for (const timer of this.timers) this.arm(timer);
  }

  /** Lets time pass on the stopped clock, up to `time` (ms since 1970). */
  async advance(time: number): Promise<void> {
    for (;;) {
      const due = [...this.timers]
        .filter(({ at }) => at <= time)
        .sort((a, b) => a.at - b.at)[0];
      if (due === undefined) break;
      this.stoppedAt = Math.max(this.now(), due.at);
      this.timers.delete(due);
      due.run();
      // What the timer started gets to where it waits for something.
      await new Promise((resolve) => setImmediate(resolve));
    }
    this.stoppedAt = Math.max(this.now(), time);
  }

  /** Waits until `time`, by the real clock or by advancing the stopped one. */
  async until(time: number): Promise<void> {
    if (this.stoppedAt !== null) return await this.advance(time);
    const wait = time - this.now();
    if (wait > 0) await new Promise((resolve) => setRealTimeout(resolve, wait));
  }

  private arm(timer: Timer): void {
    timer.real = setRealTimeout(
      () => {
        this.timers.delete(timer);
        timer.run();
      },
      Math.max(0, timer.at - this.now()),
    );
  }
}

function install(): Clock {
  const clock = new Clock();
  const setTimeout = (
    run: (...args: unknown[]) => void,
    delay = 0,
    ...args: unknown[]
  ) =>
    clock.isStopped
      ? new Timer(clock, () => run(...args), delay)
      : setRealTimeout(run, delay, ...args);
  const clearTimeout = (timer: Timer | NodeJS.Timeout | undefined) => {
    if (timer instanceof Timer) clock.clear(timer);
    else clearRealTimeout(timer);
  };
  Date.now = () => Math.floor(clock.now());
  Object.assign(globalThis, { setTimeout, clearTimeout });
  return clock;
}

// One for the process, also where this module is loaded twice.
const holder = globalThis as unknown as { benchClock?: Clock };

export const clock = (holder.benchClock ??= install());
