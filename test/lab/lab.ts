import { appendFileSync } from "node:fs";
import process from "node:process";
import fc from "fast-check";
import { expect } from "vitest";
import { faults, type Fault } from "./happenings.js";

/** What came of one run. */
export interface Outcome {
  happenings: Iterable<Fault>;
  /** What contradicts each invariant, by its name; null if nothing does. */
  verdicts: Record<string, string | null>;
}

const setting = (name: string) => process.env[`LAB_${name}`];

const count = (counts: Map<string, number>, key: string) =>
  counts.set(key, (counts.get(key) ?? 0) + 1);

/**
 * Carries out random schedules, and checks every invariant after each. A failure prints
 * its seed, its number, and the smallest schedule that fails. docs/faults.md explains
 * the settings.
 *
 * @param share The part of all runs, of which CI makes 1,000.
 */
export async function experiment<Schedule>(
  name: string,
  schedules: fc.Arbitrary<Schedule>,
  share: number,
  carryOut: (schedule: Schedule) => Promise<Outcome>,
): Promise<void> {
  const seed = Number(setting("SEED") ?? 1);
  const numRuns = Math.ceil(share * Number(setting("RUNS") ?? 1000));
  const only = setting("RUN");
  const begin = performance.now();
  const end = begin + Number(setting("SECONDS") ?? Infinity) * 1000;
  const runs = new Map<string, number>();
  const failedRuns = new Map<string, number>();
  const failures: Record<string, string[]> = {};
  let run = Number(only ?? 0);
  try {
    await fc.assert(
      fc.asyncProperty(schedules, async (schedule) => {
        if (performance.now() > end) return;
        const number = run++;
        const { happenings, verdicts } = await carryOut(schedule);
        const broken = Object.entries(verdicts).flatMap(([invariant, said]) =>
          said === null ? [] : { invariant, said: `${said} (run ${number})` },
        );
        for (const fault of ["any", ...happenings]) {
          count(runs, fault);
          if (broken.length > 0) count(failedRuns, fault);
        }
        if (setting("KEEP_GOING") === undefined) expect(broken).toEqual([]);
        for (const { invariant, said } of broken) {
          (failures[invariant] ??= []).push(said);
        }
      }),
      only === undefined
        ? { seed, numRuns }
        : { seed, numRuns: 1, path: only, endOnFailure: true },
    );
  } finally {
    const took = (performance.now() - begin) / 1000;
    const cpu = process.cpuUsage().user / 1e6;
    const report = setting("REPORT");
    if (report !== undefined) {
      const rows = ["any", ...faults].map(
        (fault) =>
          `| ${fault} | ${runs.get(fault) ?? 0} | ${failedRuns.get(fault) ?? 0} |`,
      );
      appendFileSync(
        report,
        [
          `\n## ${name}, seed ${seed}, ${took.toFixed(0)} s (${cpu.toFixed(0)} s of CPU)\n`,
          "| fault | runs | failed |",
          "| --- | ---: | ---: |",
          ...rows,
          "",
        ].join("\n"),
      );
    }
  }
  const counted = Object.entries(failures).map(([invariant, all]) => ({
    ...{ invariant, count: all.length, examples: all.slice(0, 3) },
  }));
  expect(counted).toEqual([]);
}
