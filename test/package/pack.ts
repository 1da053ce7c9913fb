import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  export interface ProvidedContext {
    /** The package as it would be published, what is in it, and the folder it is unpacked in. */
    packed: { tarball: string; files: string[]; folder: string };
  }
}

/** Vitest's global set-up: packs the package. It has to be built. */
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
  provide("packed", {
    tarball,
    files: packed.files.map((file) => file.path),
    folder: join(folder, "package"),
  });
  return () => rmSync(folder, { recursive: true, force: true });
}
