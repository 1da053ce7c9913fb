import { clearTimeout, setTimeout } from "node:timers";
import type { CronJob } from "convex/server";
import { jsonToConvex, type Value } from "convex/values";
import type { Engine } from "./engine.js";
import { canonicalPath } from "./functions.js";

type Schedule = CronJob["schedule"];

const SECOND = 1000;
const MINUTE = 60 * SECOND;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/**
 * Milliseconds from `now` to a schedule's next run, or null for a schedule
 * that only runs when it is told to: weekly, monthly and cron strings.
 */
export function untilNext(schedule: Schedule, now: number): number | null {
  switch (schedule.type) {
    case "interval":
      if ("seconds" in schedule) return schedule.seconds * SECOND;
      if ("minutes" in schedule) return schedule.minutes * MINUTE;
      return schedule.hours * HOUR;
    case "hourly":
      return until((schedule.minuteUTC ?? 0) * MINUTE, HOUR, now);
    case "daily":
      return until(
        schedule.hourUTC * HOUR + (schedule.minuteUTC ?? 0) * MINUTE,
        DAY,
        now,
      );
    case "weekly":
    case "monthly":
    case "cron":
      return null;
  }
}

/** Milliseconds until the next time that lies `offset` past a multiple of `period`. */
function until(offset: number, period: number, now: number): number {
  return period - ((now - offset) % period);
}

/** Runs the crons of the app and of its components. They keep no process alive. */
export class CronRunner {
  private readonly engine: Engine;
  /** By the cron: its timer, and when it is due by the deployment's clock. */
  private readonly armed = new Map<
    CronJob,
    { component: string; name: string; due: number; timer: NodeJS.Timeout }
  >();
  private readonly running = new Set<CronJob>();

  constructor(engine: Engine) {
    this.engine = engine;
  }

  up(): void {
    for (const [component, { crons }] of this.engine.folders) {
      for (const [name, cron] of Object.entries(crons?.crons ?? {})) {
        this.arm(component, name, cron);
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
      this.armAt(component, name, cron, due);
    }
  }

  /** Runs a cron now, and resolves when it has finished. */
  async run(name: string, component: string): Promise<void> {
    const cron = this.engine.folders.get(component)?.crons?.crons[name];
    if (cron === undefined) {
      const names = [...this.engine.folders].flatMap(([path, { crons }]) =>
        Object.keys(crons?.crons ?? {}).map((cronName) =>
          path === "" ? `"${cronName}"` : `"${cronName}" in "${path}"`,
        ),
      );
      throw new Error(
        `There is no cron "${name}" in ${component === "" ? "the app" : `the component "${component}"`}. There are: ${names.join(", ") || "none"}.`,
      );
    }
    await this.call(component, cron);
  }

  private arm(component: string, name: string, cron: CronJob): void {
    const now = this.engine.clock.now();
    const wait = untilNext(cron.schedule, now);
    if (wait === null) {
      this.engine.log(
        `The cron "${name}" runs only when it is told to: the local deployment does not know ${cron.schedule.type} schedules.`,
      );
      return;
    }
    this.armAt(component, name, cron, now + wait);
  }

  private armAt(
    component: string,
    name: string,
    cron: CronJob,
    due: number,
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
