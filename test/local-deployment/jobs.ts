import { clearTimeout, setTimeout } from "node:timers";
import type { Value } from "convex/values";
import type { DatabaseFake } from "./database.js";
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

/** The error of a scheduled mutation that was cancelled before it could commit. */
export class JobCanceled extends Error {
  override name = "JobCanceled";
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

  /**
   * Goes on with what an earlier process was told to do: mutations that it had
   * not committed run, and actions that it had begun have failed.
   */
  async inherit(jobs: readonly Job[]): Promise<void> {
    for (const job of jobs) {
      await this.engine.bookkeeping(job.componentPath, (db) => {
        const state = stateIn(db, job);
        if (state === "pending") this.waiting.set(keyOf(job), job);
        if (state === "inProgress") this.complete(db, job, "failed");
      });
    }
  }

  /** Those that became due while the deployment was down run now. */
  up(): void {
    this.isUp = true;
    for (const job of this.waiting.values()) this.arm(job);
  }

  /** The clock has been set: what is due by it runs now. */
  clockChanged(): void {
    for (const [key, timer] of [...this.timers]) {
      clearTimeout(timer);
      this.timers.delete(key);
      this.arm(this.waiting.get(key)!);
    }
  }

  /** Nothing is started any more; what waits stays scheduled. */
  down(): void {
    this.isUp = false;
    for (const timer of this.timers.values()) clearTimeout(timer);
    this.timers.clear();
  }

  add(job: Job): void {
    this.waiting.set(keyOf(job), job);
    if (this.isUp) this.arm(job);
  }

  private arm(job: Job, atLeastMs = 0): void {
    const wait = Math.max(
      atLeastMs,
      job.scheduledTime - this.engine.clock.now(),
    );
    const timer = setTimeout(
      () => {
        this.timers.delete(keyOf(job));
        this.run(job).catch((error: unknown) => {
          this.engine.report(`Scheduled ${job.path.udfPath}`, error);
        });
      },
      Math.min(wait, MAX_TIMER_MS),
    );
    this.timers.set(keyOf(job), timer);
  }

  private async run(job: Job): Promise<void> {
    const { id, componentPath, path, args } = job;
    const isAction = this.engine.kindOf(path) === "action";
    let isCanceled = false;
    await this.engine.bookkeeping(componentPath, (db) => {
      isCanceled = stateIn(db, job) !== "pending";
      if (isCanceled || !isAction) return;
      // Should the process end now, the action is not run again.
      db.patch("_scheduled_functions", id, { state: { kind: "inProgress" } });
    });
    if (isCanceled) {
      this.waiting.delete(keyOf(job));
      return;
    }
    let outcome: "success" | "failed" = "success";
    this.engine.counters.add("functionCalls");
    try {
      if (isAction) {
        this.waiting.delete(keyOf(job));
        await this.engine.action(path, args, null);
      } else {
        await this.engine.mutation(path, args, null, { job });
      }
    } catch (error) {
      if (error instanceof CommitRefused) {
        if (this.isUp) this.arm(job, RETRY_MS);
        return;
      }
      if (error instanceof JobCanceled) {
        this.waiting.delete(keyOf(job));
        return;
      }
      outcome = "failed";
      this.engine.report(`Scheduled ${path.udfPath}`, error);
    }
    this.waiting.delete(keyOf(job));
    // A mutation's own commit has said so already.
    if (outcome === "success" && !isAction) return;
    await this.engine.bookkeeping(componentPath, (db) => {
      this.complete(db, job, outcome);
    });
  }

  private complete(
    db: DatabaseFake,
    { id }: Job,
    kind: "success" | "failed",
  ): void {
    db.patch("_scheduled_functions", id, {
      state: { kind },
      completedTime: this.engine.clock.now(),
    });
  }
}

function stateIn(db: DatabaseFake, { id }: Job): string | undefined {
  const doc = db.get("_scheduled_functions", id);
  return (doc?.state as { kind: string } | undefined)?.kind;
}

/** Ids are unique within a component only. */
function keyOf({ componentPath, id }: Job): string {
  return `${componentPath}|${id}`;
}
