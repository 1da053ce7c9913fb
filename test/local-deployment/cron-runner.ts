import { clearTimeout, setTimeout } from "node:timers";
import type { CronJob } from "convex/server";
import { jsonToConvex, type Value } from "convex/values";
import type { Engine } from "./engine.js";
import { canonicalPath } from "./functions.js";

const SECOND_MS = 1000;

/** How long (ms) a schedule's interval is; null for any other schedule. */
function intervalOf({ schedule }: CronJob): number | null {
  if (schedule.type !== "interval") return null;
  if ("seconds" in schedule) return schedule.seconds * SECOND_MS;
  if ("minutes" in schedule) return schedule.minutes * 60 * SECOND_MS;
  return schedule.hours * 3600 * SECOND_MS;
}

interface Armed {
  component: string;
  name: string;
  /** By the deployment's clock. */
  due: number;
  timer: NodeJS.Timeout;
}

/** Runs the crons of the app and of its components. They keep no process alive. */
export class CronRunner {
  private readonly engine: Engine;
  private readonly armed = new Map<CronJob, Armed>();
  private readonly running = new Set<CronJob>();

  constructor(engine: Engine) {
    this.engine = engine;
  }

  up(): void {
    for (const [component, { crons }] of this.engine.folders) {
      for (const [name, cron] of Object.entries(crons?.crons ?? {})) {
        if (intervalOf(cron) === null) {
          this.engine.log(
            `The cron "${name}" never runs: the local deployment knows only intervals.`,
          );
        } else this.arm(component, name, cron);
      }
    }
  }

  down(): void {
    for (const { timer } of this.armed.values()) clearTimeout(timer);
    this.armed.clear();
  }

  /** The clock has been set: what is due by it runs now, once, however long it has been due. */
  clockChanged(): void {
    for (const [cron, { component, name, due, timer }] of [...this.armed]) {
      clearTimeout(timer);
      this.arm(component, name, cron, due);
    }
  }

  private arm(
    component: string,
    name: string,
    cron: CronJob,
    due = this.engine.clock.now() + (intervalOf(cron) ?? 0),
  ): void {
    const timer = setTimeout(() => {
      this.arm(component, name, cron);
      // A cron that takes longer than its interval skips runs.
      if (this.running.has(cron)) return;
      this.call(component, cron).catch((error: unknown) => {
        this.engine.report(`The cron "${name}"`, error);
      });
    }, due - this.engine.clock.now());
    timer.unref();
    this.armed.set(cron, { component, name, due, timer });
  }

  private async call(component: string, cron: CronJob): Promise<void> {
    const path = {
      componentPath: component,
      udfPath: canonicalPath(cron.name),
    };
    const [args = {}] = jsonToConvex(cron.args) as Value[];
    this.engine.counters.add("functionCalls");
    this.running.add(cron);
    try {
      if (this.engine.kindOf(path) === "action") {
        await this.engine.action(path, args, null);
      } else {
        await this.engine.mutation(path, args, null);
      }
    } finally {
      this.running.delete(cron);
    }
  }
}
