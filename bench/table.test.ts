import { expect, test } from "vitest";
import { isWorse, ratio, type Row } from "./rows.js";
import { percentile } from "./statistics.js";
import { withSections } from "./summary.js";
import { formatRatio, formatValue, markdown } from "./table.js";

const row = (changes: Partial<Row>): Row => ({
  section: "Following",
  what: "a reply",
  metric: "commits",
  unit: "count",
  values: { ours: 5, published: 10 },
  ...changes,
});

test("the ratio says how many times better this package is", () => {
  expect(ratio(row({}))).toBe(2);
  expect(ratio(row({ better: "more" }))).toBe(0.5);
  expect(ratio(row({ values: { ours: 0, published: 0 } }))).toBe(1);
  expect(ratio(row({ values: { ours: 5, agent: 7 } }))).toBeNull();
});

test("a row is worse if the difference is not that of two runs", () => {
  expect(isWorse(row({}))).toBe(false);
  expect(isWorse(row({ values: { ours: 11, published: 10 } }))).toBe(true);
  const timed = (ours: number, published: number) =>
    isWorse(row({ unit: "ms", values: { ours, published } }));
  expect(timed(105, 100)).toBe(false);
  expect(timed(0.5, 0.2)).toBe(false);
  expect(timed(120, 100)).toBe(true);
});

test("a percentile is one of the values", () => {
  const values = [3, 1, 2, 5, 4];
  expect(percentile(values, 0.5)).toBe(3);
  expect(percentile(values, 0.99)).toBe(5);
  expect(percentile([], 0.5)).toBeNaN();
});

test("figures are short, and have their unit", () => {
  expect(formatValue(123754, "count")).toBe("123,754");
  expect(formatValue(5844, "bytes")).toBe("5,844 B");
  expect(formatValue(21_922_000, "bytes")).toBe("22 MB");
  expect(formatValue(0.071, "ms")).toBe("0.07 ms");
  expect(formatValue(0.871, "dollars")).toBe("$0.87");
  expect(formatValue(undefined, "count")).toBe("");
  expect(formatRatio(127.4)).toBe("127×");
  expect(formatRatio(2.94)).toBe("2.9×");
});

test("a row that is worse says why, under its table", () => {
  const reason = "It does more.";
  const values = { ours: 20, published: 10 };
  const text = markdown([row({}), row({ metric: "bytes", values, reason })]);
  expect(text).toContain("0.50× [1]");
  expect(text).toContain("1. It does more.");
  expect(markdown([row({ reason })])).not.toContain(reason);
});

test("a section that is measured again takes its place, and leaves the others as they are", () => {
  const old =
    "# Benchmarks\n\nOf old.\n\n## Following\n\n5\n\n## Size\n\n7\n\n## How it is measured\n\nOtherwise.\n";
  const text = withSections(old, [row({}), row({ section: "Reading" })]);
  const headings = text.split("\n").filter((line) => line.startsWith("## "));
  expect(headings).toEqual([
    "## Following",
    "## Size",
    "## Reading",
    "## How it is measured",
  ]);
  expect(text).toContain("Of old.");
  expect(text).toContain("## Size\n\n7");
  expect(text).toContain("| a reply | commits ");
  expect(text).not.toContain("## Following\n\n5");
  expect(text).not.toContain("Otherwise.");
});
