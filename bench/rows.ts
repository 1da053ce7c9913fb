/** One line of the table: the same figure for each of those that are compared. */
import type { TargetName } from "./targets.js";

export type Unit =
  "count" | "bytes" | "ms" | "perSecond" | "perCharacter" | "dollars";

export interface Row {
  section: string;
  /** What was done, e.g. "2,000 tokens, 10 followers". */
  what: string;
  /** What was measured, e.g. "documents read". */
  metric: string;
  unit: Unit;
  values: Partial<Record<TargetName, number>>;
  /** Which is better. Default: less. */
  better?: "less" | "more";
  /** The share by which two runs of the same differ. Default: a tenth for times, else half a percent. */
  noise?: number;
  /** Why this package may be worse than the published one here. */
  reason?: string;
}

/** How many times better this package is than the published one; null if they cannot be compared. */
export function ratio({ values, better = "less" }: Row): number | null {
  const ours = values.ours ?? values.dropIn;
  const { published } = values;
  if (ours === undefined || published === undefined) return null;
  if (ours === published) return 1;
  return better === "less" ? published / ours : ours / published;
}

/** Whether this package is worse, by more than two runs of the same differ; times also by 1 ms. */
export function isWorse(row: Row): boolean {
  const value = ratio(row);
  if (value === null || value >= 1 - noiseOf(row)) return false;
  const { ours = 0, published = 0 } = row.values;
  return row.unit !== "ms" || Math.abs(ours - published) >= 1;
}

function noiseOf({ noise, unit }: Row): number {
  return noise ?? (unit === "ms" || unit === "perSecond" ? 0.1 : 0.005);
}

type Figures<Name extends string> = Partial<
  Record<TargetName, Record<Name, number>>
>;

/** A row for each figure of some results. */
export function rowsOf<Name extends string>(
  section: string,
  what: string,
  figures: Figures<Name>,
  metrics: readonly (Pick<
    Row,
    "metric" | "unit" | "better" | "noise" | "reason"
  > & {
    name: Name;
  })[],
): Row[] {
  return metrics.map(({ name, ...rest }) => ({
    section,
    what,
    ...rest,
    values: Object.fromEntries(
      Object.entries(figures).map(([target, figure]) => [target, figure[name]]),
    ),
  }));
}
