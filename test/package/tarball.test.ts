import { readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { describe, expect, inject, test } from "vitest";
import { repository, run } from "./fresh-app.js";

const { tarball, files } = inject("packed");
const read = (file: string) => readFileSync(join(repository, file), "utf8");
const sources = files.filter((file) => file.startsWith("src/"));
const built = files.filter((file) => file.startsWith("dist/"));

describe("the package holds", () => {
  test("its documents and its manifest", () => {
    const rest = files.filter(
      (f) => !sources.includes(f) && !built.includes(f),
    );
    expect(rest.sort()).toEqual([
      "CHANGELOG.md",
      "LICENSE",
      "README.md",
      "package.json",
    ]);
  });

  test("sources, without tests and what only these need", () => {
    const notNeeded = sources.filter(
      (file) => !/\.tsx?$/.test(file) || /\.test\./.test(file),
    );
    expect(notNeeded).toEqual([]);
  });

  test("everything that is built from them, and nothing older", () => {
    // `src/test.ts` is for Vite, which compiles it.
    const compiled = sources.filter((file) => file !== "src/test.ts");
    const expected = compiled.flatMap((file) => {
      const name = file.replace(/^src/, "dist").replace(/\.tsx?$/, "");
      return [".js", ".js.map", ".d.ts", ".d.ts.map"].map((end) => name + end);
    });
    expect(built.sort()).toEqual(expected.sort());
  });

  test("the source behind each source map", () => {
    for (const map of built.filter((file) => file.endsWith(".map"))) {
      const { sources } = JSON.parse(read(map)) as { sources: string[] };
      for (const source of sources) {
        expect(files).toContain(posix.join(posix.dirname(map), source));
      }
    }
  });
});

test("the package brings no other packages with it", () => {
  // So there is nothing for `npm audit --omit=dev` to find.
  const manifest = JSON.parse(read("package.json")) as Record<string, unknown>;
  expect(manifest).not.toHaveProperty("dependencies");
  expect(manifest).not.toHaveProperty("optionalDependencies");
  expect(manifest).not.toHaveProperty("bundleDependencies");
  expect(Object.keys(manifest.peerDependencies as object).sort()).toEqual([
    "ai",
    "convex",
    "react",
  ]);
  expect(manifest.peerDependenciesMeta).toEqual({
    ai: { optional: true },
    react: { optional: true },
  });
});

test("publint finds nothing, not even a suggestion", async () => {
  const { buffer } = new Uint8Array(readFileSync(tarball));
  const { messages, pkg } = await publint({
    pack: { tarball: buffer },
    strict: true,
  });
  expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
});

test("attw finds the types of every entry", async () => {
  // `esm-only`: neither the package nor its peers are CommonJS, and Node 10's
  // resolution ignores `exports`.
  await run(repository, "npx", "attw", tarball, "--profile", "esm-only");
});
