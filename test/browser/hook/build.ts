import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build, preview } from "vite";

const root = fileURLToPath(new URL(".", import.meta.url));

export type ReactBuild = "production" | "development";

/** Bundles the hook's page with one of React's two builds, and serves it. */
export async function servePage(reactBuild: ReactBuild) {
  const outDir = await mkdtemp(join(tmpdir(), "hook-page-"));
  await build({
    root,
    configFile: false,
    mode: reactBuild,
    define: { "process.env.NODE_ENV": JSON.stringify(reactBuild) },
    oxc: {
      jsx: {
        runtime: "automatic",
        development: reactBuild === "development",
      },
    },
    build: { outDir, emptyOutDir: false, minify: false },
    logLevel: "error",
  });
  const server = await preview({
    root,
    configFile: false,
    build: { outDir },
    preview: { port: 0 },
    logLevel: "warn",
  });
  const url = server.resolvedUrls?.local[0];
  if (url === undefined) throw new Error("Vite did not report its URL.");
  return {
    url,
    async close() {
      await server.close();
      await rm(outDir, { recursive: true, force: true });
    },
  };
}
