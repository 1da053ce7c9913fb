import { TimerCount, type Owner } from "./lab-clock.js";
import type { Args, Deployment, Reference } from "./lab-backend.js";
import type { Manuscript } from "./manuscript.js";
import type { ActionPlan } from "./schedule.js";

/** An action that makes more calls than this is stuck in a loop. */
const MOST_CALLS = 20_000;

/**
 * One execution of an action. The calls of its `ctx` go as planned. When it dies,
 * nothing of it continues.
 */
export class Action implements Owner {
  readonly what: string = "a reader's action";
  readonly timers = new TimerCount();
  fate: "running" | "ended" | "died" = "running";
  /** What was still running when it ended by itself. */
  left = { calls: 0, timers: 0 };
  /** When it was over (ms). */
  overAt = Infinity;
  callsInFlight = 0;
  mostCallsInFlight = 0;
  /** When its calls failed, and how long the slowest took (ms). */
  readonly failures: number[] = [];
  slowest = 0;
  /** What it sent as its response, whether or not it arrived. */
  readonly sent = {
    text: "",
    /** Whether it closed the body. */
    closed: false,
    /** Whether the platform cancelled the body because the client had left. */
    cancelled: false,
    /** The status of the response; null before there is one. */
    status: null as number | null,
  };
  private calls = 0;
  private resolveOver!: () => void;
  /** Resolves when it has ended or died. */
  readonly over = new Promise<void>((resolve) => (this.resolveOver = resolve));

  constructor(
    readonly deployment: Deployment,
    private readonly plan: Partial<ActionPlan> = {},
  ) {}

  get alive(): boolean {
    return this.fate === "running";
  }

  /** Runs the action's code. Never settles if it dies. */
  run<T>(code: (ctx: Deployment["app"]) => Promise<T>): Promise<T> {
    const { clock } = this.deployment;
    const { death } = this.plan;
    if (death && "at" in death) {
      void clock.wait(death.at).then(() => this.die());
    }
    const call = (isMutation: boolean) => (reference: Reference, args: Args) =>
      this.call(isMutation, reference, args);
    const ctx = { runMutation: call(true), runQuery: call(false) };
    return clock.as(this, () => code(ctx as unknown as Deployment["app"]));
  }

  /** Its code returns. Whatever it did not wait for is cut off. */
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
    if (fate === "died") this.deployment.happenings.add(`${this.what} died`);
    this.overAt = this.deployment.clock.time;
    this.resolveOver();
  }

  private async call(
    isMutation: boolean,
    reference: Reference,
    args: Args,
  ): Promise<unknown> {
    const { clock, happenings } = this.deployment;
    const never = new Promise(() => {});
    if (!this.alive) return never;
    for (const value of Object.values(args)) {
      if (typeof value === "string" && /\p{Surrogate}/u.test(value)) {
        throw new Error("A string has an unpaired surrogate.");
      }
    }
    if (this.calls > MOST_CALLS) throw new Error("Too many calls.");
    const index = this.calls++;
    const inFlight = ++this.callsInFlight;
    this.mostCallsInFlight = Math.max(this.mostCallsInFlight, inFlight);
    const { deployment } = this;
    const execute = () =>
      isMutation
        ? deployment.mutate(reference, args, this)
        : deployment.query(reference, args);
    try {
      return await clock.asNobody(() => this.carryOut(index, execute));
    } catch (error) {
      this.failures.push(clock.time);
      happenings.add(`call of ${this.what} failed`);
      throw error;
    } finally {
      if (!this.alive) await never;
      this.callsInFlight--;
      if (this.diesAt(index, "after")) {
        void clock.wait(0).then(() => this.die());
      }
    }
  }

  /** Executes a call as planned. */
  private async carryOut(
    index: number,
    execute: () => Promise<unknown>,
  ): Promise<unknown> {
    const { calls = [], brokenFrom, orphansArrive } = this.plan;
    const { clock, happenings } = this.deployment;
    let how = calls[index % calls.length] ?? "prompt";
    if (index >= (brokenFrom ?? Infinity)) {
      happenings.add("nothing can be saved any more");
      how = "refused";
    }
    if (this.diesAt(index, "before")) this.die();
    const arrives = () => this.alive || orphansArrive;

    if (how === "refused") {
      happenings.add("call refused");
      throw new Error("The call was refused.");
    }
    type Delays = { late?: number; before?: number; after?: number };
    const { late, before = 0, after = 0 } = Object(how) as Delays;
    if (late !== undefined) {
      void clock
        .wait(late)
        .then(() => {
          if (!arrives()) return;
          happenings.add("call done after its caller was told that it failed");
          return execute();
        })
        .catch(() => {});
      throw new Error("The call seems to have failed.");
    }
    if (before + after > 500) happenings.add("call slow");
    this.slowest = Math.max(this.slowest, before + after);
    if (before > 0) await clock.wait(before);
    if (!arrives()) throw new Error("Its caller is gone.");
    const result = await execute();
    if (this.diesAt(index, "between")) {
      happenings.add(`${this.what} died between a commit and its answer`);
      this.die();
    }
    if (after > 0) await clock.wait(after);
    if (how === "lost") {
      happenings.add("call done, its answer lost");
      throw new Error("The answer was lost.");
    }
    return result;
  }

  private diesAt(index: number, moment: string): boolean {
    const { call = null, moment: when } = Object(this.plan.death) as {
      call?: number;
      moment?: string;
    };
    return call === index && when === moment;
  }
}

/** An action that asked for the stream to be written. */
export class Caller extends Action {
  override readonly what = "a writer's action";
  /** How `generate` ended. */
  generated: "resolved" | "declined" | "rejected" | null = null;

  constructor(
    deployment: Deployment,
    plan: Partial<ActionPlan> | undefined,
    readonly how: "stream" | "generate" | "take over",
    readonly manuscript: Manuscript,
  ) {
    super(deployment, plan);
  }
}
