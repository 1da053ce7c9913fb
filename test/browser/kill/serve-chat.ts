import { fileURLToPath } from "node:url";
import { createServer as createVite } from "vite";
import { sources } from "../../support/sources.js";

const projectPath = (path: string) =>
  fileURLToPath(new URL(`../../../${path}`, import.meta.url));

/** The chat's page, from another process than its backend: it stays when that is killed. */
export async function serveChat(backend: { url: string; siteUrl: string }) {
  process.env.VITE_CONVEX_URL = backend.url;
  process.env.VITE_CONVEX_SITE_URL = backend.siteUrl;
  process.env.VITE_LOCAL_DEPLOYMENT = "true";
  const vite = await createVite({
    configFile: projectPath("example/vite.config.ts"),
    cacheDir: projectPath("node_modules/.vite-e2e"),
    resolve: { alias: sources },
    server: { port: 0, hmr: false, watch: null },
    logLevel: "warn",
  });
  await vite.listen();
  const url = vite.resolvedUrls?.local[0];
  if (url === undefined) throw new Error("Vite did not report its URL.");
  return { url, close: () => vite.close() };
}
