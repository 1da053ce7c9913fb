import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/**
 * A folder with packages that only some clients need, installed when their tests
 * first run. `npm ci` does not fetch them, and removes them with `node_modules`.
 */
export function installed(name: string, packages: readonly string[]): string {
  const root = fileURLToPath(
    new URL("../../node_modules/.cache/clients/", import.meta.url),
  );
  const folder = join(root, [name, ...packages].join("+").replace(/\W+/g, "-"));
  if (existsSync(join(folder, "complete"))) return folder;
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "private": true }');
  const quiet = ["--ignore-scripts", "--no-audit", "--no-fund"];
  execFileSync(
    "npm",
    ["install", ...quiet, "--legacy-peer-deps", ...packages],
    { cwd: folder },
  );
  writeFileSync(join(folder, "complete"), "");
  return folder;
}

/** Some folders of a package, without its dependencies. */
export function unpacked(spec: string, folders: readonly string[]): string {
  const folder = installed(spec, []);
  if (existsSync(join(folder, "package"))) return join(folder, "package");
  const archive = execFileSync("npm", ["pack", "--silent", spec], {
    cwd: folder,
    encoding: "utf8",
  }).trim();
  const paths = ["package.json", ...folders].map((path) => `package/${path}`);
  execFileSync("tar", ["xzf", archive, ...paths], { cwd: folder });
  rmSync(join(folder, archive));
  return join(folder, "package");
}
