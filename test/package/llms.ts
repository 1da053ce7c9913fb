/** `npm run llms`: makes llms-full.txt of the README and the guides. `--check` only compares. */
import { readFileSync, writeFileSync } from "node:fs";

const guides =
  "resume clients endings auth background structured ai-sdk testing production errors troubleshooting upgrading prices";
const files = [
  "README.md",
  ...guides.split(" ").map((name) => `docs/${name}.md`),
];
const path = (file: string) => new URL(`../../${file}`, import.meta.url);
const read = (file: string) => readFileSync(path(file), "utf8");

const full = files
  .map((file) => `<!-- ${file} -->\n\n${read(file)}`)
  .join("\n");

if (!process.argv.includes("--check")) {
  writeFileSync(path("llms-full.txt"), full);
} else if (read("llms-full.txt") !== full) {
  console.error(
    "llms-full.txt differs from the documents. Run `npm run llms`.",
  );
  process.exitCode = 1;
}
