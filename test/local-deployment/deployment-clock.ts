import { AsyncLocalStorage } from "node:async_hooks";

/** The clock of the deployment that the running code belongs to. */
const current = new AsyncLocalStorage<Clock>();

/** Clocks that do not show the machine's time. While there are any, `Date` is replaced. */
const moved = new Set<Clock>();
const MachineDate = Date;
const machineNow = Date.now.bind(Date);

const now = () => current.getStore()?.now() ?? machineNow();

/** `Date`, with the time of the deployment that runs the calling function. */
const DeploymentDate = new Proxy(MachineDate, {
  construct: (date, args, newTarget) =>
    Reflect.construct(
      date,
      args.length === 0 ? [now()] : args,
      newTarget,
    ) as object,
  apply: () => new MachineDate(now()).toString(),
  get: (date, name) =>
    name === "now" ? now : (Reflect.get(date, name) as unknown),
});

/**
 * The time of a deployment: the machine's, or later. Functions see it as `Date`;
 * their timers are unchanged.
 */
export class Clock {
  private aheadMs = 0;

  now(): number {
    return machineNow() + this.aheadMs;
  }

  /** Sets the clock ahead of the machine's. */
  set(aheadMs: number): void {
    this.aheadMs = aheadMs;
    if (aheadMs === 0) moved.delete(this);
    else moved.add(this);
    globalThis.Date = moved.size > 0 ? DeploymentDate : MachineDate;
  }

  /** Runs code, and what it leads to, at this clock's time. */
  run<Result>(code: () => Result): Result {
    return current.run(this, code);
  }
}
