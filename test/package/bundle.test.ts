import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { brotliCompressSync } from "node:zlib";
import { build, type BuildOptions } from "esbuild";
import { beforeAll, describe, expect, inject, test } from "vitest";
import { copySources, generate, newApp, write } from "./fresh-app.js";

const { tarball } = inject("packed");
const name = "@convex-dev/persistent-text-streaming";

let app: string;
let installed: string;
beforeAll(async () => {
  // No React: an app may have a backend alone.
  app = await newApp(tarball, "convex");
  installed = join(app, "node_modules", name);
  copySources("v0.3", app);
  copySources("v0.4", app);
  generate(app);
});

/** As the Convex CLI bundles functions for its default runtime, which has nothing of Node's. */
const convex: BuildOptions = {
  bundle: true,
  platform: "browser",
  format: "esm",
  target: "esnext",
  jsx: "automatic",
  conditions: ["convex", "module"],
  splitting: true,
  treeShaking: true,
  minifySyntax: true,
  minifyIdentifiers: true,
  keepNames: true,
  define: { "process.env.NODE_ENV": '"production"' },
};

/** The bundled text. Rejects for an import of Node's, or of anything that is not installed. */
async function bundle(entryPoints: string[], options: BuildOptions = convex) {
  const { outputFiles, warnings } = await build({
    ...options,
    entryPoints,
    absWorkingDir: app,
    outdir: "out",
    write: false,
    logLevel: "silent",
  });
  expect(warnings).toEqual([]);
  return outputFiles?.map((file) => file.text).join("\n") ?? "";
}

function filesIn(folder: string): string[] {
  return readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => /\.[jt]s$/.test(file) && !file.endsWith(".d.ts"))
    .map((file) => relative(app, join(folder, file)));
}

describe("bundled as Convex does, without React and without Node", () => {
  test("an app's functions", async () => {
    const text = await bundle(filesIn(join(app, "convex")));
    expect(text).toContain("PersistentTextStreaming");
  });

  test("what uses Node or React is refused, so the bundle above does not", async () => {
    write(app, "node/builtin.ts", 'export * from "node:stream";');
    write(app, "node/react.ts", 'export * from "react";');
    await expect(bundle(["node/builtin.ts"])).rejects.toThrow("node:stream");
    await expect(bundle(["node/react.ts"])).rejects.toThrow("react");
  });

  test("the component", async () => {
    const files = filesIn(join(installed, "dist/component"));
    expect(await bundle(files)).toContain("cleanupExpiredStreams");
  });
});

describe("minified and compressed", () => {
  test.each([
    // Nobody downloads it: it runs in the backend.
    { part: "*", from: "", kB: 10 },
    { part: "*", from: "/react", kB: 6.9 },
    { part: "{ useStream }", from: "/react", kB: 5.2 },
    { part: "*", from: "/browser", kB: 9.4 },
  ])("$part from .$from is under $kB kB", async ({ part, from, kB }) => {
    write(app, "size.ts", `export ${part} from "${name}${from}";`);
    const options: BuildOptions = {
      bundle: true,
      minify: true,
      format: "esm",
      // What every app has anyway.
      external: ["react", "convex"],
    };
    const text = await bundle(["size.ts"], options);
    const size = brotliCompressSync(text).length;
    expect(size).toBeLessThan(kB * 1000);
    // First aid is for development.
    expect(text).not.toContain("browser has blocked");
  });
});

test("reading over HTTP needs no other package", async () => {
  const file = join(installed, "dist/browser/index.js");
  const options = {
    bundle: true,
    format: "esm",
    packages: "external",
  } as const;
  expect(await bundle([file], options)).not.toMatch(/^import /m);
});

test("a bundler for React Server Components sees that the hook is for the client", () => {
  const hook = readFileSync(join(installed, "dist/react/index.js"), "utf8");
  expect(hook).toMatch(/^"use client";/);
});
