/**
 * `npm run bench`: this package side by side with the published one, on the
 * same inputs, in one table.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { parseArgs } from "node:util";
import { format } from "prettier";
import { sections } from "./sections.js";
import { isWorse, markdown, withSections, type Row } from "./table.js";
import { versionOf } from "./targets.js";

const USAGE = `npm run bench -- [sections] [options]

  Sections: ${Object.keys(sections).join(", ")}. None named: all.

  --quick   shorter texts, fewer followers: about two minutes
  --json    prints the rows as JSON
  --write   replaces the tables of docs/benchmarks.md; its dates are yours to change
  --help`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    quick: { type: "boolean", default: false },
    json: { type: "boolean", default: false },
    write: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});

const unknown = positionals.filter((name) => !(name in sections));
if (values.help || unknown.length > 0) {
  if (unknown.length > 0) console.error(`There is no ${unknown.join(", ")}.\n`);
  console.log(USAGE);
  process.exit(values.help ? 0 : 1);
}

const rows: Row[] = [];
for (const [name, measure] of Object.entries(sections)) {
  if (positionals.length > 0 && !positionals.includes(name)) continue;
  const report = (line: string) => console.error(`… ${line}`);
  rows.push(...(await measure({ quick: values.quick, report })));
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
  const [cpu] = cpus();
  return {
    date: new Date().toISOString().slice(0, 10),
    machine: `${cpu?.model.trim()}, ${cpus().length} cores, ${Math.round(totalmem() / 2 ** 30)} GiB`,
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
