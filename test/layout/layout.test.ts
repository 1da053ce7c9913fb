import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";

// Rules of the house that ESLint cannot see: see CONTRIBUTING.md, "Folders".

const root = fileURLToPath(new URL("../..", import.meta.url));
const files = execFileSync(
  "git",
  ["ls-files", "--cached", "--others", "--exclude-standard"],
  { cwd: root, encoding: "utf8" },
)
  .split("\n")
  .filter((file) => /\.tsx?$/.test(file) && !file.includes("_generated/"));

function sourceOf(file: string): string {
  // It may be deleted, and git not know yet.
  return existsSync(join(root, file))
    ? readFileSync(join(root, file), "utf8")
    : "";
}

test("no two files share a name", () => {
  /** Folders in which Convex goes by the name of a file, apps that are copied as they are, and names that tools ask for. */
  const asked =
    /^src\/component\/|\/(convex|app|retrier)\/|^(bench|test\/package)\/apps\/|\/(index|main|App|vite\.config)\.tsx?$/;
  const named = new Map<string, string[]>();
  for (const file of files.filter((file) => !asked.test(file))) {
    const others = named.get(basename(file)) ?? [];
    named.set(basename(file), [...others, file]);
  }
  const shared = [...named.values()].filter((all) => all.length > 1);
  expect(shared).toEqual([]);
});

test("every rule of PROTOCOL.md that a test cites exists", () => {
  const protocol = readFileSync(join(root, "docs/PROTOCOL.md"), "utf8");
  const rules = new Set<string>();
  let section = "";
  for (const line of protocol.split("\n")) {
    section = /^## (\d+)\./.exec(line)?.[1] ?? section;
    const [, number] = /^(\d+)\. /.exec(line) ?? [];
    if (number !== undefined) rules.add(`${section}.${number}`);
  }
  const cited = files.flatMap((file) =>
    [...sourceOf(file).matchAll(/\/\*\* (\d+\.\d+): /g)].map(
      ([, rule = ""]) => rule,
    ),
  );
  expect(cited.length).toBeGreaterThan(20);
  expect(cited.filter((rule) => !rules.has(rule))).toEqual([]);
});
