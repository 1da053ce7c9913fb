import { appendFileSync } from "node:fs";
import process from "node:process";
import fc from "fast-check";
import { expect, test } from "vitest";
import { carryOut } from "./carry-out.js";
import { check } from "./invariants.js";
import { readAlone, readings } from "./reader-alone.js";
import { ALONE, LONG, MEDDLED, schedules } from "./schedule.js";

// invariants.ts says what must hold, schedule.ts what can happen. docs/faults.md explains
// the settings.

const DAY_MS = 86_400_000;
const setting = (name: string) => process.env[`LAB_${name}`];

/**
 * Carries out random schedules, and checks every invariant after each. A failure prints
 * its seed, its number, and the smallest schedule that fails.
 *
 * @param share The part of all runs, of which CI makes 1,000.
 * @param carryOut Returns what actually went wrong, and which invariants do not hold.
 */
async function experiment<Schedule>(
  name: string,
  schedules: fc.Arbitrary<Schedule>,
  share: number,
  carryOut: (
    schedule: Schedule,
  ) => Promise<{ happenings: Set<string>; broken: string[] }>,
): Promise<void> {
  const seed = Number(setting("SEED") ?? 1);
  const numRuns = Math.ceil(share * Number(setting("RUNS") ?? 1000));
  const path = setting("RUN");
  const begin = performance.now();
  /** Runs in which a fault happened, and how many of them failed. */
  const counts = new Map<string, [number, number]>();
  const failures: string[] = [];
  let run = Number(path ?? 0);
  const { error, warn } = console;
  // Runs are full of errors, and the product logs them.
  console.error = console.warn = () => {};
  try {
    await fc.assert(
      fc.asyncProperty(schedules, async (schedule) => {
        const number = run++;
        const { happenings, broken } = await carryOut(schedule);
        for (const fault of ["any", ...happenings]) {
          const [all, failed] = counts.get(fault) ?? [0, 0];
          counts.set(fault, [all + 1, failed + Math.min(1, broken.length)]);
        }
        const said = broken.map((one) => `${one} (run ${number})`);
        if (setting("KEEP_GOING") === undefined) expect(said).toEqual([]);
        failures.push(...said);
      }),
      {
        seed,
        ...(path ? { path, numRuns: 1, endOnFailure: true } : { numRuns }),
        interruptAfterTimeLimit: 1000 * Number(setting("SECONDS") ?? 86_400),
      },
    );
  } finally {
    Object.assign(console, { error, warn });
    const took = `${((performance.now() - begin) / 1000).toFixed(0)} s`;
    const cpu = `${(process.cpuUsage().user / 1e6).toFixed(0)} s of CPU`;
    const lines = [
      `\n## ${name}, seed ${seed}, ${took} (${cpu})\n`,
      "| fault | runs | failed |",
      "| --- | ---: | ---: |",
      ...[...counts].map(([fault, of]) => `| ${fault} | ${of.join(" | ")} |`),
    ];
    const report = setting("REPORT");
    if (report) appendFileSync(report, `${lines.join("\n")}\n`);
  }
  expect(failures).toEqual([]);
}

test.each([
  ["failures, deaths and broken connections", ALONE, 0.4],
  ["stops, deletions and clocks that jump", MEDDLED, 0.45],
  ["any length", LONG, 0.15],
] as const)(
  "the text survives %s",
  (name, kind, share) =>
    experiment(name, schedules(kind), share, async (schedule) => {
      const run = await carryOut(schedule);
      return { happenings: run.happenings, broken: check(run) };
    }),
  DAY_MS,
);

test(
  "a reader without a backend shows everything once",
  () => experiment("readers alone", readings, 2, readAlone),
  DAY_MS,
);
