import { TimerCount, type Owner } from "./lab-clock.js";
import type { Args, Deployment, Reference } from "./lab-backend.js";
import type { ActionPlan } from "./schedule.js";

/** An action that makes more calls than this is going round in circles. */
const MOST_CALLS = 20_000;

/**
 * One execution of an action. The calls of its `ctx` go as planned. When it dies,
 * nothing of it continues.
 */
export class Action implements Owner {
  readonly timers = new TimerCount();
  fate: "running" | "ended" | "died" = "running";
  /** What was still running when it ended by itself. */
  left: { calls: number; timers: number } | null = null;
  /** When it was over (ms). */
  overAt = Infinity;
  mostCallsInFlight = 0;
  /** When its calls failed, and how long the slowest took (ms). */
  readonly failures: number[] = [];
  slowest = 0;
  private calls = 0;
  callsInFlight = 0;
  private resolveOver!: () => void;
  /** Resolves when it has ended or died. */
  readonly over = new Promise<void>((resolve) => (this.resolveOver = resolve));

  constructor(
    private readonly deployment: Deployment,
    private readonly plan: ActionPlan,
  ) {}

  get alive(): boolean {
    return this.fate === "running";
  }

  /** Runs the action's code. Never settles if it dies. */
  run<T>(code: (ctx: Deployment["app"]) => Promise<T>): Promise<T> {
    const { clock } = this.deployment;
    const { death } = this.plan;
    if (death !== null && "at" in death) {
      void clock.asNobody(() => clock.wait(death.at).then(() => this.die()));
    }
    const ctx = {
      runMutation: (reference: Reference, args: Args) =>
        this.call(reference, args, true),
      runQuery: (reference: Reference, args: Args) =>
        this.call(reference, args, false),
    } as unknown as Deployment["app"];
    return clock.as(this, () => code(ctx));
  }

  /** It returns, and everything it did not wait for is cut off. */
  end(): void {
    const left = { calls: this.callsInFlight, timers: this.timers.armed };
    if (this.alive) this.left = left;
    this.stop("ended");
  }

  /** Its machine is gone. */
  die(): void {
    this.stop("died");
  }

  private stop(fate: "ended" | "died"): void {
    if (!this.alive) return;
    this.fate = fate;
    this.overAt = this.deployment.clock.time;
    this.resolveOver();
  }

  private call(
    reference: Reference,
    args: Args,
    isMutation: boolean,
  ): Promise<unknown> {
    // Nothing runs after its end.
    if (!this.alive) return new Promise(() => {});
    for (const value of Object.values(args)) {
      if (typeof value === "string" && /\p{Surrogate}/u.test(value)) {
        throw new Error("A string has an unpaired surrogate.");
      }
    }
    if (this.calls > MOST_CALLS) throw new Error("Too many calls.");
    const index = this.calls++;
    this.callsInFlight++;
    this.mostCallsInFlight = Math.max(
      this.mostCallsInFlight,
      this.callsInFlight,
    );
    const { clock } = this.deployment;
    return clock.asNobody(
      () =>
        new Promise((resolve, reject) => {
          const answer = (settle: () => void) => {
            if (!this.alive) return;
            this.callsInFlight--;
            settle();
            if (this.diesAt(index, "after")) {
              void clock.wait(0).then(() => this.die());
            }
          };
          void this.carryOut(index, reference, args, isMutation).then(
            (result) => answer(() => resolve(result)),
            (error: Error) => {
              this.failures.push(clock.time);
              answer(() => reject(error));
            },
          );
        }),
    );
  }

  private async carryOut(
    index: number,
    reference: Reference,
    args: Args,
    isMutation: boolean,
  ): Promise<unknown> {
    const { deployment, plan } = this;
    const { clock, happenings } = deployment;
    const execute = () =>
      isMutation
        ? deployment.mutate(reference, args, this)
        : deployment.query(reference, args);
    let how = plan.calls[index % plan.calls.length] ?? "prompt";
    if (plan.brokenFrom !== null && index >= plan.brokenFrom) {
      happenings.add("nothing can be saved any more");
      how = "refused";
    }
    if (this.diesAt(index, "before")) this.die();
    const arrives = () => this.alive || plan.orphansArrive;

    if (how === "refused") {
      happenings.add("call refused");
      throw new Error("The call was refused.");
    }
    if (typeof how === "object" && "late" in how) {
      void clock
        .wait(how.late)
        .then(() => {
          if (!arrives()) return;
          happenings.add("call done after its caller was told that it failed");
          return execute();
        })
        .catch(() => {});
      throw new Error("The call seems to have failed.");
    }
    const { before, after } =
      typeof how === "object" ? how : { before: 0, after: 0 };
    if (before + after > 500) happenings.add("call slow");
    this.slowest = Math.max(this.slowest, before + after);
    if (typeof how === "object") await clock.wait(before);
    if (!arrives()) throw new Error("Its caller is gone.");
    const result = await execute();
    if (this.diesAt(index, "between")) {
      if (isMutation && this.alive) {
        happenings.add("writer's action died between a commit and its answer");
      }
      this.die();
    }
    if (typeof how === "object") await clock.wait(after);
    if (how === "lost") {
      happenings.add("call done, its answer lost");
      throw new Error("The answer was lost.");
    }
    return result;
  }

  private diesAt(
    index: number,
    moment: "before" | "between" | "after",
  ): boolean {
    const { death } = this.plan;
    return (
      death !== null &&
      "call" in death &&
      death.call === index &&
      death.moment === moment
    );
  }
}
