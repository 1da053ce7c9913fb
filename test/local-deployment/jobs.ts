import { clearTimeout, setTimeout } from "node:timers";
import type { CronJob } from "convex/server";
import { jsonToConvex, type Value } from "convex/values";
import type { DatabaseFake } from "./database.js";
import type { Engine } from "./engine.js";
import { CommitRefused } from "./faults.js";
import { canonicalPath, type FunctionPath } from "./functions.js";

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
/** The longest time that a timer can wait. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Something to do once the deployment's clock shows `due`. */
interface Alarm {
  due: number;
  ring: () => Promise<void>;
  timer: NodeJS.Timeout;
}

/**
 * Runs crons and scheduled functions when they are due. Scheduled mutations
 * run exactly once: a refused commit is tried again. Actions run at most once.
 */
export class Jobs {
  private readonly waiting = new Map<string, Job>();
  private readonly alarms = new Map<string, Alarm>();
  private readonly runningCrons = new Set<CronJob>();
  private isUp = false;

  constructor(private readonly engine: Engine) {}

  /**
   * Continues what an earlier process was told to do: mutations that it had not
   * committed run, and actions that it had begun have failed.
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

  /** Jobs that became due while the deployment was down run now. */
  up(): void {
    this.isUp = true;
    for (const job of this.waiting.values()) this.arm(job);
    for (const [component, { crons }] of this.engine.folders) {
      for (const cron of Object.values(crons?.crons ?? {})) {
        this.armCron(component, cron);
      }
    }
  }

  /** Stops starting jobs. The ones that are waiting stay scheduled. */
  down(): void {
    this.isUp = false;
    for (const { timer } of this.alarms.values()) clearTimeout(timer);
    this.alarms.clear();
  }

  /** The clock has been set: what is due by it runs now. */
  clockChanged(): void {
    for (const [key, { due, ring, timer }] of [...this.alarms]) {
      clearTimeout(timer);
      this.setAlarm(key, due, ring);
    }
  }

  add(job: Job): void {
    this.waiting.set(keyOf(job), job);
    if (this.isUp) this.arm(job);
  }

  private setAlarm(key: string, due: number, ring: Alarm["ring"]): void {
    const wait = Math.min(due - this.engine.clock.now(), MAX_TIMER_MS);
    const timer = setTimeout(() => {
      this.alarms.delete(key);
      ring().catch((error: unknown) => this.engine.report(key, error));
    }, wait);
    this.alarms.set(key, { due, ring, timer });
  }

  private arm(job: Job, due = job.scheduledTime): void {
    this.setAlarm(keyOf(job), due, () => this.run(job));
  }

  private armCron(component: string, cron: CronJob): void {
    const { schedule, name } = cron;
    // Other schedules never run here.
    if (schedule.type !== "interval") return;
    const {
      hours = 0,
      minutes = 0,
      seconds = 0,
    } = schedule as {
      hours?: number;
      minutes?: number;
      seconds?: number;
    };
    const intervalMs = ((hours * 60 + minutes) * 60 + seconds) * 1000;
    const due = this.engine.clock.now() + intervalMs;
    this.setAlarm(`Cron ${component}|${name}`, due, async () => {
      this.armCron(component, cron);
      // A cron that takes longer than its interval skips runs.
      if (this.runningCrons.has(cron)) return;
      this.runningCrons.add(cron);
      const path = {
        componentPath: component,
        udfPath: canonicalPath(name),
      };
      const [args = {}] = jsonToConvex(cron.args) as Value[];
      this.engine.counters.functionCalls++;
      await (
        this.engine.kindOf(path) === "action"
          ? this.engine.action(path, args, null)
          : this.engine.mutation(path, args, null)
      ).finally(() => this.runningCrons.delete(cron));
    });
  }

  private async run(job: Job): Promise<void> {
    const { id, componentPath, path, args } = job;
    const isAction = this.engine.kindOf(path) === "action";
    let isCanceled = false;
    await this.engine.bookkeeping(componentPath, (db) => {
      isCanceled = stateIn(db, job) !== "pending";
      if (isCanceled || !isAction) return;
      // If the process ends now, the action is not run again.
      db.patch("_scheduled_functions", id, { state: { kind: "inProgress" } });
    });
    if (isCanceled) {
      this.waiting.delete(keyOf(job));
      return;
    }
    let outcome: "success" | "failed" = "success";
    this.engine.counters.functionCalls++;
    try {
      if (isAction) {
        this.waiting.delete(keyOf(job));
        await this.engine.action(path, args, null);
      } else {
        await this.engine.mutation(path, args, null, job);
      }
    } catch (error) {
      if (error instanceof CommitRefused) {
        const due = this.engine.clock.now() + RETRY_MS;
        if (this.isUp) this.arm(job, due);
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
  return `Job ${componentPath}|${id}`;
}
