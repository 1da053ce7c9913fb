import { AsyncLocalStorage } from "node:async_hooks";

/** The clock of the deployment on whose behalf code is running. */
const current = new AsyncLocalStorage<Clock>();

/** Those that do not show this machine's time. While there are any, `Date` is ours. */
const moved = new Set<Clock>();
const MachineDate = Date;
const machineNow = Date.now.bind(Date);

const now = () => current.getStore()?.now() ?? machineNow();

/** `Date`, but what it takes for the present is the time of the deployment whose function asks. */
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
 * What time it is on a deployment: the machine's, or so much later. Functions
 * see it as `Date`; their timers take as long as ever.
 */
export class Clock {
  private aheadMs = 0;

  now(): number {
    return machineNow() + this.aheadMs;
  }

  /** From now on, the time is so much ahead of the machine's. */
  set(aheadMs: number): void {
    if (typeof aheadMs !== "number" || !Number.isFinite(aheadMs)) {
      throw new Error("A clock is set by { aheadMs }, a number.");
    }
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
