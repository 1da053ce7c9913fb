import { appendFileSync } from "node:fs";
import process from "node:process";
import fc from "fast-check";
import { expect } from "vitest";

/** What came of one run. */
export interface Outcome {
  /** What actually went wrong, as opposed to what was planned. */
  happenings: Iterable<string>;
  /** What contradicts each invariant, by its name; null if nothing does. */
  verdicts: Record<string, string | null>;
}

const setting = (name: string) => process.env[`LAB_${name}`];

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
  const path = setting("RUN");
  const begin = performance.now();
  const end = begin + Number(setting("SECONDS") ?? Infinity) * 1000;
  /** Runs in which a fault happened, and how many of them failed. */
  const counts = new Map<string, [number, number]>();
  const failures: string[] = [];
  let run = Number(path ?? 0);
  const { fetch } = globalThis;
  const { error, warn } = console;
  // Runs are full of errors, which are logged.
  console.error = console.warn = () => {};
  try {
    await fc.assert(
      fc.asyncProperty(schedules, async (schedule) => {
        if (performance.now() > end) return;
        const number = run++;
        const { happenings, verdicts } = await carryOut(schedule);
        const broken = Object.entries(verdicts)
          .filter(([, said]) => said !== null)
          .map(([invariant, said]) => `${invariant}: ${said} (run ${number})`);
        for (const fault of ["any", ...happenings]) {
          const [all, failed] = counts.get(fault) ?? [0, 0];
          counts.set(fault, [all + 1, failed + Math.min(1, broken.length)]);
        }
        if (setting("KEEP_GOING") === undefined) expect(broken).toEqual([]);
        failures.push(...broken);
      }),
      path ? { seed, path, numRuns: 1, endOnFailure: true } : { seed, numRuns },
    );
  } finally {
    globalThis.fetch = fetch;
    Object.assign(console, { error, warn });
    const took = `${((performance.now() - begin) / 1000).toFixed(0)} s`;
    const cpu = `${(process.cpuUsage().user / 1e6).toFixed(0)} s of CPU`;
    const rows = [...counts].map(
      ([fault, [all, failed]]) => `| ${fault} | ${all} | ${failed} |`,
    );
    const title = `\n## ${name}, seed ${seed}, ${took} (${cpu})\n`;
    const table = [
      "| fault | runs | failed |",
      "| --- | ---: | ---: |",
      ...rows,
    ];
    const report = setting("REPORT");
    if (report) appendFileSync(report, [title, ...table, ""].join("\n"));
  }
  expect(failures).toEqual([]);
}
