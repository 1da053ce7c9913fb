/**
 * `npm run bench`: this package side by side with the published one, on the
 * same inputs, in one table.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { Argument, Command } from "commander";
import { format } from "prettier";
import { machine } from "./figures.js";
import { sections } from "./sections.js";
import { isWorse, markdown, withSections, type Row } from "./table.js";
import { versionOf } from "./targets.js";

const program = new Command("npm run bench --")
  .addArgument(
    new Argument("[sections...]", "all, if none is named").choices(
      Object.keys(sections),
    ),
  )
  .option("--quick", "shorter texts, fewer followers: about two minutes")
  .option("--json", "print the rows as JSON")
  .option("--write", "replace the tables of docs/benchmarks.md, but no dates")
  .parse();
const named = program.args;
const values =
  program.opts<Partial<Record<"quick" | "json" | "write", boolean>>>();

const rows: Row[] = [];
for (const [name, measure] of Object.entries(sections)) {
  if (named.length > 0 && !named.includes(name)) continue;
  const report = (line: string) => console.error(`… ${line}`);
  const scope = { quick: values.quick === true, report };
  for await (const row of measure(scope)) rows.push(row);
}

if (values.json)
  console.log(JSON.stringify({ ...circumstances(), rows }, null, 2));
else {
  // Prettier aligns the tables.
  const tables = await format(markdown(rows), { parser: "markdown" });
  console.log(`${tables}\n${JSON.stringify(circumstances())}`);
}
if (values.write) {
  const file = new URL("../docs/benchmarks.md", import.meta.url);
  const text = withSections(readFileSync(file, "utf8"), rows);
  writeFileSync(file, await format(text, { parser: "markdown" }));
}

for (const { what, metric, reason } of rows.filter(isWorse)) {
  if (reason === undefined)
    console.error(`Worse, and no reason: ${what}, ${metric}`);
}

function circumstances() {
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: machine(),
    versions: {
      "this package": versionOf("."),
      published: versionOf("persistent-text-streaming-published"),
      "@convex-dev/agent": versionOf("@convex-dev/agent"),
      convex: versionOf("convex"),
      "convex-test": versionOf("convex-test"),
      react: versionOf("react"),
      node: process.versions.node,
    },
  };
}
