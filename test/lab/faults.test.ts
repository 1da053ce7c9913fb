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
 * @param carryOut Returns the invariants that do not hold.
 */
async function experiment<Schedule>(
  schedules: fc.Arbitrary<Schedule>,
  share: number,
  carryOut: (schedule: Schedule) => Promise<string[]>,
): Promise<void> {
  const seed = Number(setting("SEED") ?? 1);
  const numRuns = Math.ceil(share * Number(setting("RUNS") ?? 1000));
  const path = setting("RUN");
  const failures: string[] = [];
  let run = Number(path ?? 0);
  const { error, warn } = console;
  // Runs are full of errors, and the product logs them.
  console.error = console.warn = () => {};
  try {
    await fc.assert(
      fc.asyncProperty(schedules, async (schedule) => {
        const number = run++;
        const broken = await carryOut(schedule);
        const said = broken.map((one) => `${one} (run ${number})`);
        if (setting("KEEP_GOING") === undefined) expect(said).toEqual([]);
        failures.push(...said);
      }),
      {
        seed,
        ...(path ? { path, numRuns: 1, endOnFailure: true } : { numRuns }),
      },
    );
  } finally {
    Object.assign(console, { error, warn });
  }
  expect(failures).toEqual([]);
}

test.each([
  ["failures, deaths and broken connections", ALONE, 0.4],
  ["stops, deletions and clocks that jump", MEDDLED, 0.45],
  ["any length", LONG, 0.15],
] as const)(
  "the text survives %s",
  (_, kind, share) =>
    experiment(schedules(kind), share, async (schedule) =>
      check(await carryOut(schedule)),
    ),
  DAY_MS,
);

test(
  "a reader without a backend shows everything once",
  () => experiment(readings, 2, readAlone),
  DAY_MS,
);
