import { readFileSync } from "node:fs";
import { join, posix } from "node:path";
import { publint } from "publint";
import { formatMessage } from "publint/utils";
import { expect, inject, test } from "vitest";
import { repository, run } from "./fresh-app.js";

const { tarball, files } = inject("packed");
const read = (file: string) => readFileSync(join(repository, file), "utf8");
const sources = files.filter((file) => file.startsWith("src/"));

test("the package holds its documents, its sources without tests, and what is built of them", () => {
  // `src/test.ts` is for Vite, which compiles it.
  const compiled = sources.filter((file) => file !== "src/test.ts");
  const built = compiled.flatMap((file) => {
    expect(file).toMatch(/^(?!.*\.test\.).*\.tsx?$/);
    const name = file.replace(/^src/, "dist").replace(/\.tsx?$/, "");
    return [".js", ".js.map", ".d.ts", ".d.ts.map"].map((end) => name + end);
  });
  const documents = ["CHANGELOG.md", "LICENSE", "README.md", "package.json"];
  const expected = [...documents, ...sources, ...built];
  expect(files.toSorted()).toEqual(expected.sort());
});

test("the package holds the source behind each source map", () => {
  for (const map of files.filter((file) => file.endsWith(".map"))) {
    const { sources } = JSON.parse(read(map)) as { sources: string[] };
    for (const source of sources) {
      expect(files).toContain(posix.join(posix.dirname(map), source));
    }
  }
});

test("the package brings no other packages with it, and nobody needs React or the AI SDK", () => {
  // So there is nothing for `npm audit --omit=dev` to find.
  const manifest = JSON.parse(read("package.json")) as Record<string, object>;
  expect(Object.keys(manifest)).not.toContainEqual(
    expect.stringMatching(/^(dependencies|optional|bundle)/),
  );
  const optional = { optional: true };
  const { peerDependenciesMeta } = manifest;
  expect(peerDependenciesMeta).toEqual({ ai: optional, react: optional });
});

test("publint finds nothing, not even a suggestion", async () => {
  const { buffer } = new Uint8Array(readFileSync(tarball));
  const pack = { tarball: buffer };
  const { messages, pkg } = await publint({ pack, strict: true });
  expect(messages.map((message) => formatMessage(message, pkg))).toEqual([]);
});

test("attw finds the types of every entry", async () => {
  // `esm-only`: neither the package nor its peers are CommonJS, and Node 10's
  // resolution ignores `exports`.
  await run(repository, "npx", "attw", tarball, "--profile", "esm-only");
});
