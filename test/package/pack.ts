import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  export interface ProvidedContext {
    /** The package as it would be published, its files, and the folder it is unpacked in. */
    packed: { tarball: string; files: string[]; folder: string };
  }
}

/** Vitest's global set-up: packs the package, which must be built. */
export default function setup({ provide }: TestProject) {
  const folder = mkdtempSync(join(tmpdir(), "packed-"));
  const report = execFileSync(
    "npm",
    ["pack", "--json", "--ignore-scripts", "--pack-destination", folder],
    { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] },
  );
  const [packed] = JSON.parse(report) as [
    { filename: string; files: { path: string }[] },
  ];
  const tarball = join(folder, packed.filename);
  execFileSync("tar", ["-xzf", tarball, "-C", folder]);
  symlinkSync(resolve("node_modules"), join(folder, "node_modules"));
  provide("packed", {
    tarball,
    files: packed.files.map((file) => file.path),
    folder: join(folder, "package"),
  });
  return () => rmSync(folder, { recursive: true, force: true });
}
