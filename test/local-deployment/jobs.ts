import { clearTimeout, setTimeout } from "node:timers";
import type { CronJob } from "convex/server";
import { jsonToConvex, type Value } from "convex/values";
import type { Doc, Write } from "./documents.js";
import type { Engine } from "./engine.js";
import { CommitRefused } from "./faults.js";
import { clock } from "./process-clock.js";

/** The table of scheduled functions. */
export const SCHEDULED = "_scheduled_functions";

export type JobState = "pending" | "inProgress" | "success" | "failed";

/** The document of a scheduled function. */
export type JobDoc = Doc & {
  name: string;
  /** Not in Convex: where the function is. */
  componentPath: string;
  args: [Value];
  /** Milliseconds since 1970. */
  scheduledTime: number;
  state: { kind: JobState };
};

/** A function that was scheduled. */
export interface Job {
  /** The component that scheduled it, which has its document. */
  component: string;
  doc: JobDoc;
}

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
      for (const doc of database.documents(SCHEDULED) as JobDoc[]) {
        const { kind } = doc.state;
        if (kind === "pending") this.arm({ component, doc });
        if (kind === "inProgress") {
          await this.engine.setState({ component, doc }, "failed");
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
      this.arm({ component, doc: after as JobDoc });
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

  private arm(job: Job, due = job.doc.scheduledTime): void {
    // Ids are unique within a component only.
    const key = `Job ${job.component}|${job.doc._id}`;
    this.setAlarm(key, due, () => this.run(job));
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
      const path = { componentPath, udfPath: name };
      const [args = {}] = jsonToConvex(cron.args) as Value[];
      this.engine.counters.functionCalls++;
      await this.engine
        .run({ path, args, identity: null })
        .finally(() => this.runningCrons.delete(cron));
    });
  }

  private async run(job: Job): Promise<void> {
    const { engine } = this;
    const { _id, componentPath, name: udfPath, args } = job.doc;
    const path = { componentPath, udfPath };
    const now = engine.databases.get(job.component)!.committed(_id);
    if ((now as JobDoc | undefined)?.state.kind !== "pending") return;
    const isAction = engine.kindOf(path) === "action";
    engine.counters.functionCalls++;
    try {
      // If the process ends now, an action is not run again.
      if (isAction) await engine.setState(job, "inProgress");
      const call = { path, args: args[0], identity: null };
      await engine.run(call, isAction ? {} : { job });
      if (isAction) await engine.setState(job, "success");
    } catch (error) {
      if (!isAction && error instanceof CommitRefused) {
        if (this.isUp) this.arm(job, clock.now() + RETRY_MS);
      } else if (!(error instanceof JobCanceled)) {
        engine.report(`Scheduled ${udfPath}`, error);
        await engine.setState(job, "failed");
      }
    }
  }
}
