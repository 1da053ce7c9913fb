import { clearTimeout, setTimeout } from "node:timers";
import type { CronJob } from "convex/server";
import { jsonToConvex, type Value } from "convex/values";
import type { Engine } from "./engine.js";
import { CommitRefused } from "./faults.js";
import { canonicalPath, type FunctionPath } from "./functions.js";
import type { Doc, Write } from "./documents.js";
import { clock } from "./process-clock.js";

/** The table of scheduled functions. */
export const SCHEDULED = "_scheduled_functions";

/** A function that was scheduled. */
export interface Job {
  /** Its document, in the component that scheduled it. */
  id: string;
  componentPath: string;
  path: FunctionPath;
  args: Value;
  /** Milliseconds since 1970. */
  scheduledTime: number;
}

export type JobState = "inProgress" | "success" | "failed";

/** The error of a scheduled function that was canceled, or has run, before it could commit. */
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
  private readonly alarms = new Map<string, Alarm>();
  private readonly runningCrons = new Set<CronJob>();
  private isUp = false;

  constructor(private readonly engine: Engine) {}

  /**
   * Starts running jobs, including those scheduled earlier. Jobs that have become due
   * run now, and actions that were running count as failed.
   */
  async up(): Promise<void> {
    this.isUp = true;
    for (const [component, database] of this.engine.databases) {
      for (const doc of database.documents(SCHEDULED)) {
        const job = jobOf(component, doc);
        if (stateOf(doc) === "pending") this.arm(job);
        if (stateOf(doc) === "inProgress") {
          await this.engine.setState(job, "failed");
        }
      }
    }
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

  /** Call this after the clock was set. Jobs that are due by it run now. */
  clockChanged(): void {
    for (const [key, { due, ring, timer }] of [...this.alarms]) {
      clearTimeout(timer);
      this.setAlarm(key, due, ring);
    }
  }

  /** Plans the jobs that a commit has scheduled. */
  committed(writes: readonly Write[]): void {
    if (!this.isUp) return;
    for (const { component, table, before, after } of writes) {
      if (table !== SCHEDULED || before !== null || after === null) continue;
      if (stateOf(after) === "pending") this.arm(jobOf(component, after));
    }
  }

  private setAlarm(key: string, due: number, ring: Alarm["ring"]): void {
    const timer = setTimeout(
      () => {
        this.alarms.delete(key);
        ring().catch((error: unknown) => this.engine.report(key, error));
      },
      Math.min(due - clock.now(), MAX_TIMER_MS),
    );
    this.alarms.set(key, { due, ring, timer });
  }

  private arm(job: Job, due = job.scheduledTime): void {
    this.setAlarm(keyOf(job), due, () => this.run(job));
  }

  private armCron(componentPath: string, cron: CronJob): void {
    const { schedule, name } = cron;
    // Other schedules never run here.
    if (schedule.type !== "interval") return;
    const {
      hours = 0,
      minutes = 0,
      seconds = 0,
    } = schedule as Partial<Record<"hours" | "minutes" | "seconds", number>>;
    const intervalMs = ((hours * 60 + minutes) * 60 + seconds) * 1000;
    const due = clock.now() + intervalMs;
    this.setAlarm(`Cron ${componentPath}|${name}`, due, async () => {
      this.armCron(componentPath, cron);
      // A cron that takes longer than its interval skips runs.
      if (this.runningCrons.has(cron)) return;
      this.runningCrons.add(cron);
      const path = { componentPath, udfPath: canonicalPath(name) };
      const [args = {}] = jsonToConvex(cron.args) as Value[];
      this.engine.counters.functionCalls++;
      await this.engine
        .run(this.engine.kindOf(path), path, args, null)
        .finally(() => this.runningCrons.delete(cron));
    });
  }

  private async run(job: Job): Promise<void> {
    const { engine } = this;
    const { componentPath, id, path, args } = job;
    const doc = engine.databases.get(componentPath)!.committed(id);
    if (stateOf(doc) !== "pending") return;
    const kind = engine.kindOf(path);
    engine.counters.functionCalls++;
    try {
      if (kind === "action") {
        // If the process ends now, the action is not run again.
        await engine.setState(job, "inProgress");
        await engine.run(kind, path, args, null);
        await engine.setState(job, "success");
      } else await engine.run(kind, path, args, null, { job });
    } catch (error) {
      if (kind === "mutation" && error instanceof CommitRefused) {
        if (this.isUp) this.arm(job, clock.now() + RETRY_MS);
      } else if (!(error instanceof JobCanceled)) {
        engine.report(`Scheduled ${path.udfPath}`, error);
        await engine.setState(job, "failed");
      }
    }
  }
}

function jobOf(component: string, doc: Doc): Job {
  const { _id, name, componentPath, args, scheduledTime } = doc as unknown as {
    _id: string;
    name: string;
    componentPath: string;
    args: [Value];
    scheduledTime: number;
  };
  return {
    ...{ id: _id, componentPath: component, args: args[0], scheduledTime },
    path: { componentPath, udfPath: name },
  };
}

function stateOf(doc: Doc | undefined): string | undefined {
  return (doc?.state as { kind: string } | undefined)?.kind;
}

/** Ids are unique within a component only. */
function keyOf({ componentPath, id }: Job): string {
  return `Job ${componentPath}|${id}`;
}
