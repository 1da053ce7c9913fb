/** The rows of the benchmark, and their tables in Markdown. */
import { targets, type TargetName } from "./targets.js";

export type Unit =
  "count" | "bytes" | "ms" | "perSecond" | "perCharacter" | "dollars";

/** One line of a table: the same figure for everything that is compared. */
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
  /** By which share two runs of the same differ. Default: a tenth for times, half a percent otherwise. */
  noise?: number;
  /** Why this package may be worse than the published one here. */
  reason?: string;
}

/** A row for each figure of some results. */
export function rowsOf<Name extends string>(
  section: string,
  what: string,
  results: Partial<Record<TargetName, Record<Name, number>>>,
  metrics: readonly (Omit<Row, "section" | "what" | "values"> & {
    name: Name;
  })[],
): Row[] {
  return metrics.map(({ name, ...rest }) => ({
    section,
    what,
    ...rest,
    values: Object.fromEntries(
      Object.entries(results).map(([target, figures]) => [
        target,
        figures[name],
      ]),
    ),
  }));
}

/** How many times better this package is than the published one; null if they cannot be compared. */
function ratio({ values, better = "less" }: Row): number | null {
  const { published, ours = values.dropIn } = values;
  if (ours === undefined || published === undefined) return null;
  if (ours === published) return 1;
  return better === "less" ? published / ours : ours / published;
}

/** Whether this package is worse by more than two runs of the same differ; times also by 1 ms. */
export function isWorse(row: Row): boolean {
  const { unit, values } = row;
  const isTime = unit === "ms" || unit === "perSecond";
  const { noise = isTime ? 0.1 : 0.005 } = row;
  const value = ratio(row);
  if (value === null || value >= 1 - noise) return false;
  const { ours = 0, published = 0 } = values;
  return unit !== "ms" || Math.abs(ours - published) >= 1;
}

/** A table for each section, and below it why a row is worse. */
export function markdown(rows: readonly Row[]): string {
  const sections = [...new Set(rows.map(({ section }) => section))];
  return sections
    .map((section) => {
      const own = rows.filter((row) => row.section === section);
      return `## ${section}\n\n${sectionTable(own)}`;
    })
    .join("\n\n");
}

/** A document with these sections replaced. A section that it lacks comes before its last. */
export function withSections(document: string, rows: readonly Row[]): string {
  const [head = "", ...parts] = document.split(/^(?=## )/m);
  const titleOf = (part: string) => part.slice(0, part.indexOf("\n"));
  for (const fresh of markdown(rows).split(/^(?=## )/m)) {
    const place = parts.findIndex((old) => titleOf(old) === titleOf(fresh));
    if (place < 0) parts.splice(-1, 0, fresh);
    else parts[place] = fresh;
  }
  return [head, ...parts].map((part) => part.trimEnd()).join("\n\n");
}

function sectionTable(rows: readonly Row[]): string {
  const shown = (Object.keys(targets) as TargetName[]).filter((name) =>
    rows.some(({ values }) => values[name] !== undefined),
  );
  const reasons = [
    ...new Set(rows.filter(isWorse).flatMap(({ reason }) => reason ?? [])),
  ];
  const noteOf = (row: Row) => {
    if (!isWorse(row)) return "";
    if (row.reason === undefined) return " (no reason given)";
    return ` [${reasons.indexOf(row.reason) + 1}]`;
  };
  const lines = [
    ["", "", ...shown.map((name) => targets[name].title), "ratio"],
    ["---", "---", ...shown.map(() => "--:"), "--:"],
    ...rows.map((row, i) => [
      rows[i - 1]?.what === row.what ? "" : row.what,
      row.metric,
      ...shown.map((name) => formatValue(row.values[name], row.unit)),
      formatRatio(ratio(row)) + noteOf(row),
    ]),
  ];
  const table = lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
  const notes = reasons.map((reason, i) => `${i + 1}. ${reason}`);
  return `${table}\n\n${notes.join("\n")}`;
}

function formatRatio(value: number | null): string {
  if (value === null) return "";
  return `${value >= 10 ? Math.round(value) : value.toPrecision(2)}×`;
}

function formatValue(value: number | undefined, unit: Unit): string {
  if (value === undefined) return "";
  const whole = (number: number) => Math.round(number).toLocaleString("en");
  switch (unit) {
    case "count":
      return whole(value);
    case "bytes":
      if (value < 10_000) return `${whole(value)} B`;
      if (value < 10_000_000) return `${whole(value / 1000)} kB`;
      return `${whole(value / 1_000_000)} MB`;
    case "ms":
      if (value < 10) return `${value.toFixed(value < 1 ? 2 : 1)} ms`;
      return `${whole(value)} ms`;
    case "perSecond":
      return `${whole(value)}/s`;
    case "perCharacter":
      return value < 100 ? value.toFixed(1) : whole(value);
    case "dollars":
      return `$${value.toFixed(2)}`;
  }
}
