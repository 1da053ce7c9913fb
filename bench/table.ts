/** Rows as text, for a terminal and for a Markdown file. */
import { isWorse, ratio, type Row, type Unit } from "./rows.js";
import { targets, type TargetName } from "./targets.js";

const columns = Object.keys(targets) as TargetName[];

/** All rows as Markdown: a table for each section, and under it why a row is worse. */
export function markdown(rows: readonly Row[]): string {
  return sectionsOf(rows)
    .map(([section, its]) => `## ${section}\n\n${sectionTable(its)}`)
    .join("\n\n");
}

/** A document with the sections of these rows new, and all others as they are; a section that it lacks comes before its last. */
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
  const shown = columns.filter((name) =>
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
  const lines = rows.map((row, i) => [
    rows[i - 1]?.what === row.what ? "" : row.what,
    row.metric,
    ...shown.map((name) => formatValue(row.values[name], row.unit)),
    formatRatio(ratio(row)) + noteOf(row),
  ]);
  const head = ["", "", ...shown.map((name) => targets[name].title), "ratio"];
  const table = alignColumns(head, lines);
  const notes = reasons.map((reason, i) => `${i + 1}. ${reason}`);
  return [table, ...(notes.length > 0 ? [notes.join("\n")] : [])].join("\n\n");
}

function sectionsOf(rows: readonly Row[]): [string, Row[]][] {
  const sections = new Map<string, Row[]>();
  for (const row of rows) {
    sections.set(row.section, [...(sections.get(row.section) ?? []), row]);
  }
  return [...sections];
}

/** A Markdown table that is a table to the eye, too: text to the left, figures to the right. */
function alignColumns(
  head: readonly string[],
  lines: readonly (readonly string[])[],
): string {
  const widths = head.map((title, column) =>
    Math.max(
      3,
      title.length,
      ...lines.map((line) => (line[column] ?? "").length),
    ),
  );
  const isText = (column: number) => column < 2;
  const line = (cells: readonly string[]) =>
    `| ${cells
      .map((cell, i) => {
        const width = widths[i] ?? 0;
        return isText(i) ? cell.padEnd(width) : cell.padStart(width);
      })
      .join(" | ")} |`;
  const rule = widths.map((width, i) =>
    isText(i) ? "-".repeat(width) : `${"-".repeat(width - 1)}:`,
  );
  return [line(head), line(rule), ...lines.map(line)].join("\n");
}

function formatRatio(value: number | null): string {
  if (value === null) return "";
  return `${value >= 10 ? Math.round(value) : value.toPrecision(2)}×`;
}

function formatValue(value: number | undefined, unit: Unit): string {
  if (value === undefined) return "";
  switch (unit) {
    case "count":
      return Math.round(value).toLocaleString("en");
    case "bytes":
      return formatBytes(value);
    case "ms":
      return `${value < 10 ? value.toFixed(value < 1 ? 2 : 1) : Math.round(value).toLocaleString("en")} ms`;
    case "perSecond":
      return `${Math.round(value).toLocaleString("en")}/s`;
    case "perCharacter":
      return value < 100
        ? value.toFixed(1)
        : Math.round(value).toLocaleString("en");
    case "dollars":
      return `$${value.toFixed(2)}`;
  }
}

function formatBytes(bytes: number): string {
  if (bytes < 10_000) return `${Math.round(bytes).toLocaleString("en")} B`;
  if (bytes < 10_000_000)
    return `${Math.round(bytes / 1000).toLocaleString("en")} kB`;
  return `${Math.round(bytes / 1_000_000).toLocaleString("en")} MB`;
}
