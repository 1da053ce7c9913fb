import type { Browser, BrowserContext } from "playwright-core";
import { afterAll, afterEach, beforeAll, vi } from "vitest";
import { startParts } from "../local-deployment/demo-parts.js";
import { projectPath } from "../local-deployment/functions.js";
import { sources } from "../support/sources.js";
import { Chat } from "./chatPage.js";
import { launchBrowser } from "./chromium.js";

const FAST = 400;

/** The demo in this process, where a test can reach all of its parts. */
async function startDemo() {
  const { model, ...parts } = await startParts({
    model: { tokensPerSecond: FAST, firstTokenMs: 50 },
    // Tests make writers fail and kill actions, which is logged.
    deployment: { log: () => {} },
    vite: {
      cacheDir: projectPath("node_modules/.vite-e2e"),
      resolve: { alias: sources },
      // Files do not change while the tests run, and pages must not reload by themselves.
      server: { port: 0, hmr: false, watch: null },
    },
  });
  return {
    ...parts,
    model: model!,
    /** Sets how fast the model writes from now on. */
    async pace(tokensPerSecond: number) {
      await fetch(new URL("/pace", model!.baseURL), {
        method: "POST",
        body: JSON.stringify({ tokensPerSecond }),
      });
    },
  };
}

/** The demo and a browser for a file of tests, with new users for each test. */
export function useDemo() {
  let demo: Awaited<ReturnType<typeof startDemo>> | undefined;
  let browser: Browser | undefined;
  const contexts: BrowserContext[] = [];

  beforeAll(async () => {
    [demo, browser] = await Promise.all([startDemo(), launchBrowser()]);
    // Vite prepares a page on its first request. No test should wait for that.
    const page = await browser.newPage();
    page.setDefaultTimeout(90_000);
    for (const path of ["/compare", "/assistant", "/"]) {
      await page.goto(demo.url + path);
      await page.getByRole("button").first().waitFor();
    }
    await page.close();
  });
  afterEach(async () => {
    await Promise.all(contexts.splice(0).map((context) => context.close()));
    await demo?.pace(FAST);
    vi.unstubAllEnvs();
  });
  afterAll(async () => {
    await browser?.close();
    await demo?.close();
  });

  return {
    get demo() {
      return demo!;
    },
    /** A page of the demo, as a new user opens it. */
    async open(path = "/"): Promise<Chat> {
      const context = await browser!.newContext();
      context.setDefaultTimeout(60_000);
      contexts.push(context);
      return await Chat.open(await context.newPage(), demo!.url + path);
    },
    /** Waits until a reply is complete. */
    async finish(chat: Chat): Promise<void> {
      await demo!.pace(5000);
      await chat.becomes("done");
    },
  };
}
