import { test } from "vitest";
import { experiment } from "./lab.js";
import { ALONE, LONG, MEDDLED } from "./schedule.js";

// What holds is in invariants.ts, what can happen in schedule.ts.

test.each([
  ["whatever fails, dies or breaks", ALONE, 0.4],
  ["whoever ends or deletes it, whatever clock jumps", MEDDLED, 0.45],
  ["however long the text", LONG, 0.15],
] as const)(
  "%s, the text survives",
  (name, kind, share) => experiment(name, kind, share),
  86_400_000,
);
