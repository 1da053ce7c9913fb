import { clearTimeout, setTimeout } from "node:timers";
import type { Value } from "convex/values";
import type { Engine } from "./engine.js";
import { CommitRefused } from "./faults.js";
import type { FunctionPath } from "./functions.js";

/** A function that was scheduled, and its document in `_scheduled_functions`. */
export interface Job {
  id: string;
  /** The component that scheduled it. */
  componentPath: string;
  path: FunctionPath;
  args: Record<string, Value>;
  /** Milliseconds since 1970. */
  scheduledTime: number;
}

const RETRY_MS = 50;
/** The longest wait that a timer can be armed for. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/**
 * Runs what was scheduled, when it is due. Mutations run exactly once: a
 * refused commit is tried again. Actions run at most once.
 */
export class Jobs {
  private readonly engine: Engine;
  private readonly waiting = new Map<string, Job>();
  private readonly timers = new Map<string, NodeJS.Timeout>();
  private isUp = false;

  constructor(engine: Engine) {
    this.engine = engine;
  }

  /** Those that became due while the deployment was down run now. */
  up(): void {
    this.isUp = true;
    for (const job of this.waiting.values()) this.arm(job);
  }

  /** Nothing is started any more; what waits stays scheduled. */
  down(): void {
    this.isUp = false;
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
  }

  add(job: Job): void {
    this.waiting.set(job.id, job);
    if (this.isUp) this.arm(job);
  }

  private arm(job: Job, atLeastMs = 0): void {
    const wait = Math.max(atLeastMs, job.scheduledTime - Date.now());
    const timer = setTimeout(
      () => {
        this.timers.delete(job.id);
        this.run(job).catch((error: unknown) => {
          this.engine.report(`Scheduled ${job.path.udfPath}`, error);
        });
      },
      Math.min(wait, MAX_TIMER_MS),
    );
    this.timers.set(job.id, timer);
  }

  private async run(job: Job): Promise<void> {
    const { id, componentPath, path, args } = job;
    let isCanceled = false;
    await this.engine.bookkeeping(componentPath, (db) => {
      const doc = db.get("_scheduled_functions", id);
      const state = doc?.state as { kind: string } | undefined;
      isCanceled = state?.kind !== "pending" && state?.kind !== "inProgress";
      if (isCanceled) return;
      db.patch("_scheduled_functions", id, { state: { kind: "inProgress" } });
    });
    if (isCanceled) {
      this.waiting.delete(id);
      return;
    }
    let outcome: "success" | "failed" = "success";
    this.engine.counters.add("functionCalls");
    try {
      if (this.engine.kindOf(path) === "action") {
        this.waiting.delete(id);
        await this.engine.action(path, args, null);
      } else {
        await this.engine.mutation(path, args, null);
      }
    } catch (error) {
      if (error instanceof CommitRefused) {
        if (this.isUp) this.arm(job, RETRY_MS);
        return;
      }
      outcome = "failed";
      this.engine.report(`Scheduled ${path.udfPath}`, error);
    }
    this.waiting.delete(id);
    await this.engine.bookkeeping(componentPath, (db) => {
      db.patch("_scheduled_functions", id, {
        state: { kind: outcome },
        completedTime: Date.now(),
      });
    });
  }
}
