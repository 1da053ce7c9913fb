/**
 * `npm run bench`: this package side by side with the published one, on the
 * same inputs, in one table.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { Argument, Command } from "commander";
import { format } from "prettier";
import { machine } from "./figures.js";
import { rowsOf, sectionsFor } from "./sections.js";
import { isWorse, withSections, type Row } from "./table.js";
import { versionOf } from "./targets.js";

const program = new Command("npm run bench --")
  .addArgument(
    new Argument("[sections...]", "all, if none is named").choices(
      Object.keys(sectionsFor()),
    ),
  )
  .option("--quick", "shorter texts, fewer followers: about five minutes")
  .option("--write", "replace the tables of docs/benchmarks.md, but no dates")
  .parse();
const named = program.args;
const { quick, write } = program.opts<{ quick?: true; write?: true }>();
const docs = new URL("../docs/benchmarks.md", import.meta.url);
/** Prettier aligns the tables. */
const document = (before: string, rows: Row[]) =>
  format(withSections(before, rows), { parser: "markdown" });

for (const [name, section] of Object.entries(sectionsFor(quick))) {
  if (named.length > 0 && !named.includes(name)) continue;
  const rows = await rowsOf(section);
  console.log(await document("", rows));
  if (write) {
    writeFileSync(docs, await document(readFileSync(docs, "utf8"), rows));
  }
  for (const { what, metric } of rows.filter(
    (row) => isWorse(row) && !row.reason,
  )) {
    console.error(`Worse, and no reason: ${what}, ${metric}`);
  }
}

const versions = [
  `this package ${versionOf(".")}`,
  `published ${versionOf("persistent-text-streaming-published")}`,
  ...["@convex-dev/agent", "convex", "convex-test", "react"].map(
    (name) => `${name} ${versionOf(name)}`,
  ),
  `node ${process.versions.node}`,
];
console.log(
  `Measured on ${new Date().toISOString().slice(0, 10)} on ${machine()}, with ${versions.join(", ")}.`,
);
