/** The rows of the benchmark, and their tables in Markdown. */
import { targets, type TargetName } from "./targets.js";

const whole = (value: number) => Math.round(value).toLocaleString("en");

/** How values are written. */
export const units = {
  count: whole,
  bytes(value: number) {
    if (value < 10_000) return `${whole(value)} B`;
    if (value < 10_000_000) return `${whole(value / 1000)} kB`;
    return `${whole(value / 1_000_000)} MB`;
  },
  ms(value: number) {
    if (value >= 10) return `${whole(value)} ms`;
    return `${value.toFixed(value < 1 ? 2 : 1)} ms`;
  },
  perSecond: (value: number) => `${whole(value)}/s`,
  perCharacter: (value: number) =>
    value < 100 ? value.toFixed(1) : whole(value),
  dollars: (value: number) => `$${value.toFixed(2)}`,
};

/** What is measured. */
export interface Figure {
  /** Its name in the tables. */
  metric: string;
  unit: keyof typeof units;
  /** Which is better. Default: less. */
  better?: "less" | "more";
  /** By which share two runs of the same differ. Default: a tenth for times, half a percent otherwise. */
  noise?: number;
  /** Why this package may be worse than the published one here. */
  reason?: string;
}

/** One line of a table: the same figure for everything that is compared. */
export interface Row extends Figure {
  section: string;
  /** What was done, e.g. "2,000 tokens, 10 followers". */
  what: string;
  values: Partial<Record<TargetName, number>>;
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

/** A document with the sections of these rows replaced. A section that it lacks comes last. */
export function withSections(document: string, rows: readonly Row[]): string {
  const [head = "", ...parts] = document.split(/^(?=## )/m);
  for (const section of new Set(rows.map(({ section }) => section))) {
    const title = `## ${section}\n`;
    const own = rows.filter((row) => row.section === section);
    const place = parts.findIndex((part) => part.startsWith(title));
    const fresh = `${title}\n${tableOf(own)}`;
    parts[place < 0 ? parts.length : place] = fresh;
  }
  return [head, ...parts].map((part) => part.trimEnd()).join("\n\n");
}

/** A table, and below it why a row is worse. */
function tableOf(rows: readonly Row[]): string {
  const shown = (Object.keys(targets) as TargetName[]).filter((name) =>
    rows.some(({ values }) => values[name] !== undefined),
  );
  const reasons = [
    ...new Set(rows.filter(isWorse).flatMap(({ reason }) => reason ?? [])),
  ];
  const ratioOf = (row: Row) => {
    const value = ratio(row);
    if (value === null) return "";
    const times = `${value >= 10 ? Math.round(value) : value.toPrecision(2)}×`;
    if (!isWorse(row)) return times;
    if (row.reason === undefined) return `${times} (no reason given)`;
    return `${times} [${reasons.indexOf(row.reason) + 1}]`;
  };
  const lines = [
    ["", "", ...shown.map((name) => targets[name].title), "ratio"],
    ["---", "---", ...shown.map(() => "--:"), "--:"],
    ...rows.map((row, i) => [
      rows[i - 1]?.what === row.what ? "" : row.what,
      row.metric,
      ...shown.map((name) => {
        const value = row.values[name];
        return value === undefined ? "" : units[row.unit](value);
      }),
      ratioOf(row),
    ]),
  ];
  // Only some sections have the published package in them.
  if (rows.every((row) => ratio(row) === null)) {
    for (const cells of lines) cells.pop();
  }
  const table = lines.map((cells) => `| ${cells.join(" | ")} |`).join("\n");
  const notes = reasons.map((reason, i) => `${i + 1}. ${reason}`);
  return `${table}\n\n${notes.join("\n")}`;
}
