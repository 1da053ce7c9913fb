import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import {
  cpSync,
  mkdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { vi } from "vitest";
import { installed } from "../../clients/installed.js";
import { freePorts, isListening } from "../ports.js";

const repository = fileURLToPath(new URL("../../../", import.meta.url));

const LAYOUT = `export default function Layout({ children }: { children: React.ReactNode }) {
  return <html lang="en"><body>{children}</body></html>;
}
`;

/** Builds the quick start with the newest Next.js, as the README says, and serves it. */
export async function serveWithNext(urls: { url: string; siteUrl: string }) {
  const app = installed("next", [
    ...["next@latest", "react@latest", "react-dom@latest", "convex@latest"],
    ...["typescript@latest", "@types/node@latest", "@types/react@latest"],
    "openai@latest",
  ]);
  const name = "@convex-dev/persistent-text-streaming";
  const product = join(app, "node_modules", name);
  for (const path of ["package.json", "dist", "src"]) {
    cpSync(join(repository, path), join(product, path), { recursive: true });
  }
  const minimal = join(repository, "example/minimal");
  cpSync(join(minimal, "convex"), join(app, "convex"), { recursive: true });
  mkdirSync(join(app, "app"), { recursive: true });
  writeFileSync(join(app, "app/layout.tsx"), LAYOUT);
  // Otherwise it searches the parent folders for an app.
  writeFileSync(
    join(app, "next.config.mjs"),
    "export default { turbopack: { root: import.meta.dirname } };\n",
  );
  const page = readFileSync(join(minimal, "src/App.tsx"), "utf8").replaceAll(
    /import\.meta\.env\.VITE_(\w+)/g,
    "process.env.NEXT_PUBLIC_$1!",
  );
  writeFileSync(join(app, "app/page.tsx"), `"use client";\n${page}`);
  const cli = join(app, "node_modules/next/dist/bin/next");
  const options = {
    cwd: app,
    env: {
      ...process.env,
      NODE_ENV: "production" as const,
      NEXT_PUBLIC_CONVEX_URL: urls.url,
      NEXT_PUBLIC_CONVEX_SITE_URL: urls.siteUrl,
      NEXT_TELEMETRY_DISABLED: "1",
    },
  };
  rmSync(join(app, ".next"), { recursive: true, force: true });
  execFileSync(process.execPath, [cli, "build"], { ...options, stdio: "pipe" });
  const [port] = await freePorts(1);
  const command = [cli, "start", "--port", String(port)];
  const server = spawn(process.execPath, command, {
    ...options,
    stdio: ["ignore", "ignore", "inherit"],
  });
  await vi.waitUntil(() => isListening(port!), { timeout: 60_000 });
  return {
    url: `http://localhost:${port}`,
    async close() {
      server.kill();
      await once(server, "exit");
    },
  };
}
