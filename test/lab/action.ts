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
  /** Whether nothing can be saved any more. */
  isBroken = false;
  /** What it sent as its response, whether or not it arrived. */
  readonly sent = {
    text: "",
    /** Whether it closed the body. */
    closed: false,
    /** Whether its head could not be sent, because the client had left. That ends the action. */
    failed: false,
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
    this.overAt = this.deployment.clock.time;
    this.resolveOver();
  }

  private async call(
    isMutation: boolean,
    reference: Reference,
    args: Args,
  ): Promise<unknown> {
    const { deployment } = this;
    const { clock } = deployment;
    const never = new Promise(() => {});
    if (!this.alive) return never;
    if (this.calls > MOST_CALLS) throw new Error("Too many calls.");
    const index = this.calls++;
    const inFlight = ++this.callsInFlight;
    this.mostCallsInFlight = Math.max(this.mostCallsInFlight, inFlight);
    const execute = () =>
      isMutation
        ? deployment.mutate(reference, args, this)
        : deployment.query(reference, args);
    try {
      return await clock.asNobody(() => this.carryOut(index, execute));
    } catch (error) {
      this.failures.push(clock.time);
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
    const { clock } = this.deployment;
    let how = calls[index % calls.length] ?? "prompt";
    if (index >= (brokenFrom ?? Infinity)) {
      this.isBroken = true;
      how = "refused";
    }
    if (this.diesAt(index, "before")) this.die();
    const arrives = () => this.alive || orphansArrive;

    if (how === "refused") throw new Error("The call was refused.");
    type Delays = { late?: number; before?: number; after?: number };
    const { late, before = 0, after = 0 } = Object(how) as Delays;
    if (late !== undefined) {
      void clock
        .wait(late)
        .then(() => (arrives() ? execute() : null))
        .catch(() => {});
      throw new Error("The call seems to have failed.");
    }
    this.slowest = Math.max(this.slowest, before + after);
    if (before > 0) await clock.wait(before);
    if (!arrives()) throw new Error("Its caller is gone.");
    const result = await execute();
    if (this.diesAt(index, "between")) this.die();
    if (after > 0) await clock.wait(after);
    if (how === "lost") throw new Error("The answer was lost.");
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
  /** Whether `generate` has told it that it wrote the stream. */
  hasResolved = false;

  constructor(
    deployment: Deployment,
    plan: Partial<ActionPlan> | undefined,
    readonly how: "stream" | "generate" | "take over",
    readonly manuscript: Manuscript,
  ) {
    super(deployment, plan);
  }
}
