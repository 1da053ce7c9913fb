import { appendFileSync } from "node:fs";
import process from "node:process";
import fc from "fast-check";
import { expect } from "vitest";
import { faults, type Fault } from "./happenings.js";
import { invariants, type Harm } from "./invariants.js";
import { carryOut } from "./carry-out.js";
import { schedules, type Kind } from "./schedule.js";

const columns = ["runs", "lost", "doubled", "stuck", "other"] as const;

/** Counts, for each fault, the runs in which it happened and what came of them. */
class Tally {
  private readonly counts = new Map<string, number>();

  add(happened: Iterable<Fault>, harms: Set<Harm>): void {
    for (const fault of ["any", ...happened]) {
      for (const column of ["runs", ...harms]) {
        const key = `${fault} ${column}`;
        this.counts.set(key, (this.counts.get(key) ?? 0) + 1);
      }
    }
  }

  /** As a table in Markdown. */
  toString(): string {
    const row = (cells: (string | number)[]) => `| ${cells.join(" | ")} |`;
    return [
      row(["fault", ...columns]),
      row(["---", ...columns.map(() => "---:")]),
      ...["any", ...faults].map((fault) =>
        row([
          fault,
          ...columns.map((name) => this.counts.get(`${fault} ${name}`) ?? 0),
        ]),
      ),
    ].join("\n");
  }
}

const setting = (name: string) => process.env[name];

/** So many runs there are in CI, in all. */
const RUNS = 1000;

/**
 * Carries out random schedules and holds every invariant after each. A failure
 * prints its seed and the smallest schedule that fails.
 *
 * `LAB_RUNS` says how many runs there are in all, of which this is a share, and
 * `LAB_SECONDS` after what time no more are begun. `LAB_SEED` chooses the
 * schedules. `LAB_REPORT` names a file to which the
 * table of what happened is added. With `LAB_KEEP_GOING`, a run that fails is
 * counted by its number, and the others go on. `LAB_RUN` is the number of the
 * only run to make.
 */
export async function experiment(
  name: string,
  kind: Kind,
  share: number,
): Promise<void> {
  const seed = Number(setting("LAB_SEED") ?? 1);
  const numRuns = Math.ceil(share * Number(setting("LAB_RUNS") ?? RUNS));
  const tally = new Tally();
  const failures: string[] = [];
  const only = setting("LAB_RUN");
  let run = Number(only ?? 0);
  const begin = performance.now();
  const longest = Number(setting("LAB_SECONDS") ?? Infinity) * 1000;
  try {
    await fc.assert(
      fc.asyncProperty(schedules(kind), async (schedule) => {
        if (performance.now() - begin > longest) return;
        const number = run++;
        const outcome = await carryOut(schedule);
        const broken = Object.entries(invariants)
          .map(([named, { check, rule, says, harm }]) => ({
            harm,
            said: check(outcome),
            text: `${named}: ${says} (PROTOCOL ${rule})`,
          }))
          .filter(({ said }) => said !== null);
        tally.add(outcome.happenings, new Set(broken.map(({ harm }) => harm)));
        const sentences = broken.map(
          ({ text, said }) => `${text} But: ${said}. (Run ${number}.)`,
        );
        if (setting("LAB_KEEP_GOING") === undefined) {
          expect(sentences).toEqual([]);
        }
        for (const sentence of sentences) failures.push(sentence);
      }),
      only === undefined ? { seed, numRuns } : { seed, numRuns: 1, path: only },
    );
  } finally {
    const report = setting("LAB_REPORT");
    if (report !== undefined) {
      const cpu = process.cpuUsage().user / 1e6;
      const took = ((performance.now() - begin) / 1000).toFixed(0);
      appendFileSync(
        report,
        `\n## ${name}, seed ${seed}, ${took} s (${cpu.toFixed(0)} s of CPU)\n\n${tally.toString()}\n`,
      );
    }
  }
  const counted = new Map<string, { count: number; examples: string[] }>();
  for (const failure of failures) {
    const [name = "", ...rest] = failure.split(":");
    const entry = counted.get(name) ?? { count: 0, examples: [] };
    entry.count++;
    if (entry.examples.length < 3) entry.examples.push(rest.join(":"));
    counted.set(name, entry);
  }
  expect(Object.fromEntries(counted)).toEqual({});
}
