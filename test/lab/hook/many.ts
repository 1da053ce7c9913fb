import type { Place } from "./place.js";
import { runSchedule, Wrong, type Kind } from "./run.js";
import { faultsOf, scheduleOf, type Schedule } from "./schedule.js";

/** What came of many schedules, by fault. */
export class Tally {
  private readonly rows = new Map<
    string,
    { runs: number } & Record<Kind, number>
  >();
  readonly wrong: string[] = [];

  add(schedule: Schedule, error: unknown): void {
    for (const fault of ["all", ...faultsOf(schedule)]) {
      let row = this.rows.get(fault);
      if (row === undefined) {
        row = {
          runs: 0,
          lost: 0,
          doubled: 0,
          stuck: 0,
          requests: 0,
          "left behind": 0,
        };
        this.rows.set(fault, row);
      }
      row.runs++;
      if (error instanceof Wrong) row[error.kind]++;
    }
    if (error !== null)
      this.wrong.push(
        error instanceof Error ? String(error.stack) : JSON.stringify(error),
      );
  }

  /** As JSON, to leave a page. */
  table(): Record<string, Record<string, number>> {
    return Object.fromEntries(
      [...this.rows].sort(([, a], [, b]) => b.runs - a.runs),
    );
  }
}

/** Runs the schedules of many seeds, so many at a time, until one goes wrong. */
export async function runSchedules(
  { first, count, lanes }: { first: number; count: number; lanes: number },
  placeOf: (lane: number) => Place,
  keepGoing = false,
): Promise<{ tally: Tally; inMidStream: number }> {
  const tally = new Tally();
  let inMidStream = 0;
  let next = first;
  const lane = async (number: number) => {
    const place = placeOf(number);
    while (next < first + count && (keepGoing || tally.wrong.length === 0)) {
      const schedule = scheduleOf(next++);
      try {
        const happened = await runSchedule(schedule, place);
        inMidStream += happened;
        tally.add(schedule, null);
      } catch (error) {
        tally.add(schedule, error);
      }
    }
  };
  await Promise.all(Array.from({ length: lanes }, (_, i) => lane(i)));
  return { tally, inMidStream };
}
