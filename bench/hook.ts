/** The hook in Chromium: what it costs the page that shows a reply. */
import { mkdtemp, rm } from "node:fs/promises";
import { createServer, type RequestListener } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { chromium, type CDPSession, type Page } from "playwright-core";
import { planQuery } from "./apps/writer.js";
import type { Reply } from "./hook/bench-page.js";
import type { Host } from "./bench-host.js";
import { charactersOf } from "./texts.js";

export type HookResult = {
  /** Per 1,000 tokens. */
  renders: number;
  /** How long (ms) the main thread ran scripts, and how long it was busy at all, per 1,000 tokens. */
  scripts: number;
  mainThread: number;
};

/** The versions of React that the package supports. */
export type ReactVersion = "18.3" | "19";

/** A page, new and empty, in a browser of its own. */
export async function withPage<Result>(
  use: (page: Page, devTools: CDPSession) => Promise<Result>,
  entry = "./hook/bench-page.tsx",
  write?: RequestListener,
  react: ReactVersion = "19",
): Promise<Result> {
  const script = await bundle(entry, react);
  const server = createServer((request, response) => {
    if (request.method === "POST" && write) return write(request, response);
    const isScript = request.url === "/page.js";
    response.setHeader(
      "Content-Type",
      isScript ? "text/javascript" : "text/html; charset=utf-8",
    );
    response.end(
      isScript
        ? script
        : '<!doctype html><script defer src="/page.js"></script>',
    );
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  const profile = await mkdtemp(join(tmpdir(), "bench-"));
  const context = await chromium.launchPersistentContext(profile, {
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: [
      "--no-sandbox",
      "--disable-gpu",
      "--disable-background-networking",
      "--disable-component-update",
      "--disable-sync",
      "--no-first-run",
    ],
  });
  try {
    const page = await context.newPage();
    await page.goto(`http://127.0.0.1:${port}/`);
    const devTools = await context.newCDPSession(page);
    await devTools.send("Performance.enable");
    return await use(page, devTools);
  } finally {
    await context.close();
    await rm(profile, { recursive: true, force: true });
    server.close();
  }
}

/** One reply, driven by the page. */
export async function rendering(
  host: Host,
  hook: Reply["hook"],
  tokens: number,
  pace: number,
): Promise<HookResult> {
  return await withPage(async (page, devTools) => {
    await page.evaluate((url) => bench.connect(url), host.url);
    const [scripts, busy] = await Promise.all([
      metric(devTools, "ScriptDuration"),
      metric(devTools, "TaskDuration"),
    ]);
    const renders = await show(page, host, hook, tokens, pace);
    const since = async (name: string, before: number) =>
      1000 * ((await metric(devTools, name)) - before);
    const per = tokens / 1000;
    return {
      renders: renders / per,
      scripts: (await since("ScriptDuration", scripts)) / per,
      mainThread: (await since("TaskDuration", busy)) / per,
    };
  });
}

/** The page's heap (bytes) when it shows so many replies, which it drove. */
export async function heap(
  host: Host,
  hook: Reply["hook"],
  replies: number,
  tokens: number,
): Promise<number> {
  return await withPage(async (page, devTools) => {
    await page.evaluate((url) => bench.connect(url), host.url);
    for (let i = 0; i < replies; i++) await show(page, host, hook, tokens, 0);
    await devTools.send("HeapProfiler.enable");
    await devTools.send("HeapProfiler.collectGarbage");
    return await metric(devTools, "JSHeapUsedSize");
  });
}

async function show(
  page: Page,
  host: Host,
  hook: Reply["hook"],
  tokens: number,
  pace: number,
): Promise<number> {
  const streamId = (await host.call("streams:create")) as string;
  const plan = planQuery({ tokens, pace, stopClock: false });
  const reply: Reply = { hook, streamId, url: `${host.siteUrl}/write?${plan}` };
  return await page.evaluate(
    ([reply, characters]) => bench.show(reply, characters),
    [reply, charactersOf(tokens)] as const,
  );
}

export async function metric(
  devTools: CDPSession,
  name: string,
): Promise<number> {
  const { metrics } = await devTools.send("Performance.getMetrics");
  return metrics.find((metric) => metric.name === name)?.value ?? NaN;
}

const aliases: Record<ReactVersion, Record<string, string>> = {
  "18.3": { react: "react-18", "react-dom": "react-dom-18" },
  "19": {},
};

async function bundle(entry: string, react: ReactVersion): Promise<Uint8Array> {
  const { outputFiles } = await build({
    entryPoints: [fileURLToPath(new URL(entry, import.meta.url))],
    bundle: true,
    minify: true,
    write: false,
    format: "esm",
    jsx: "automatic",
    define: { "process.env.NODE_ENV": '"production"' },
    alias: aliases[react],
  });
  const [script] = outputFiles;
  if (script === undefined) throw new Error("esbuild wrote nothing.");
  return script.contents;
}
