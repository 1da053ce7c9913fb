import { test } from "vitest";
import { carryOut } from "./carry-out.js";
import { check } from "./invariants.js";
import { experiment } from "./lab.js";
import { readAlone, readings } from "./reader-alone.js";
import { ALONE, LONG, MEDDLED, schedules } from "./schedule.js";

// invariants.ts says what must hold, schedule.ts what can happen.

const DAY_MS = 86_400_000;

test.each([
  ["failures, deaths and broken connections", ALONE, 0.4],
  ["stops, deletions and clocks that jump", MEDDLED, 0.45],
  ["any length", LONG, 0.15],
] as const)(
  "the text survives %s",
  (name, kind, share) =>
    experiment(name, schedules(kind), share, async (schedule) => {
      const run = await carryOut(schedule);
      return { happenings: run.happenings, verdicts: check(run) };
    }),
  DAY_MS,
);

test(
  "a reader without a backend shows everything once",
  () => experiment("readers alone", readings, 2, readAlone),
  DAY_MS,
);
