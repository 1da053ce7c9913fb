import { TimerCount, type Owner } from "./lab-clock.js";
import type { Args, Deployment, Reference } from "./lab-backend.js";
import type { ActionPlan } from "./schedule.js";

/** Many more in one action than it should make, and it is taken for one that goes round in circles. */
const MOST_CALLS = 20_000;

/**
 * One execution of an action. It has a `ctx` whose calls go as planned, and it
 * can die: then nothing of it runs any more, whatever it was waiting for.
 */
export class Action implements Owner {
  readonly timers = new TimerCount();
  fate: "running" | "ended" | "died" = "running";
  /** What it had not waited for when it ended by itself. */
  left: { calls: number; timers: number } | null = null;
  /** When it was over (ms). */
  overAt = Infinity;
  mostCallsInFlight = 0;
  /** When its calls failed, and how long the slowest took (ms). */
  readonly failures: number[] = [];
  slowest = 0;
  private calls = 0;
  callsInFlight = 0;
  private goOn!: () => void;
  /** Resolves when it has ended, one way or the other. */
  readonly over = new Promise<void>((resolve) => (this.goOn = resolve));

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
    return clock.as(this, () => code(this.ctx()));
  }

  private ctx(): Deployment["app"] {
    return {
      runMutation: (reference: Reference, args: Args) =>
        this.call(reference, args, true),
      runQuery: (reference: Reference, args: Args) =>
        this.call(reference, args, false),
    } as unknown as Deployment["app"];
  }

  /** It is over, and what it has not waited for is cut off. */
  end(): void {
    if (!this.alive) return;
    this.left = { calls: this.callsInFlight, timers: this.timers.armed };
    this.fate = "ended";
    this.overAt = this.deployment.clock.time;
    this.goOn();
  }

  /** The machine that it runs on is gone. */
  die(): void {
    if (!this.alive) return;
    this.fate = "died";
    this.overAt = this.deployment.clock.time;
    this.goOn();
  }

  private call(
    reference: Reference,
    args: Args,
    changes: boolean,
  ): Promise<unknown> {
    // Asks that come after its end come from nowhere.
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
    return this.deployment.clock.asNobody(
      () =>
        new Promise((resolve, reject) => {
          const answer = (settle: () => void) => {
            if (!this.alive) return;
            this.callsInFlight--;
            settle();
            if (this.diesAt(index, "after")) {
              void this.deployment.clock.wait(0).then(() => this.die());
            }
          };
          void this.carryOut(index, reference, args, changes).then(
            (result) => answer(() => resolve(result)),
            (error: Error) => {
              this.failures.push(this.deployment.clock.time);
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
    changes: boolean,
  ): Promise<unknown> {
    const { deployment, plan } = this;
    const { clock, happenings } = deployment;
    const done = () =>
      changes
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
          return done();
        })
        // There is nobody to tell.
        .catch(() => {});
      throw new Error("The call failed, as far as one can see.");
    }
    if (typeof how === "object") {
      if (how.before + how.after > 500) happenings.add("call slow");
      this.slowest = Math.max(this.slowest, how.before + how.after);
      await clock.wait(how.before);
    }
    if (!arrives()) throw new Error("Nobody asks for it any more.");
    const result = await done();
    if (this.diesAt(index, "between")) {
      if (changes && this.alive) {
        happenings.add("writer's action died between a commit and its answer");
      }
      this.die();
    }
    if (typeof how === "object") await clock.wait(how.after);
    if (how === "lost") {
      happenings.add("call done, its answer lost");
      throw new Error("The answer was lost.");
    }
    return result;
  }

  private diesAt(index: number, moment: string): boolean {
    const { death } = this.plan;
    return (
      death !== null &&
      "call" in death &&
      death.call === index &&
      death.moment === moment
    );
  }
}
