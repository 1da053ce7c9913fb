/** The README's quick start (example/minimal) with Vite and Next.js: its page, its functions and the real `openai`. */
import react from "@vitejs/plugin-react";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import type { InlineConfig } from "vite";
import { startParts } from "../local-deployment/demo-parts.js";
import { projectPath } from "../local-deployment/functions.js";
import { sources } from "../support/sources.js";
import { launchBrowser } from "./chromium.js";
import { complaintsOf } from "./complaints.js";
import { serveWithNext } from "./minimal/next.js";

const vite: InlineConfig = {
  configFile: false,
  root: projectPath("test/browser/minimal"),
  cacheDir: projectPath("node_modules/.vite-minimal"),
  plugins: [react()],
  resolve: { alias: sources },
  server: {
    port: 0,
    hmr: false,
    watch: null,
    fs: { allow: [projectPath("")] },
  },
};

describe.each(["Vite", "Next.js"])("with %s", (name) => {
  let parts: Awaited<ReturnType<typeof startParts>>;
  let served: { url: string; close?: () => Promise<void> };
  let browser: Browser;
  let page: Page;
  let complaints: string[];
  let posts = 0;

  beforeAll(async () => {
    parts = await startParts({
      model: { tokensPerSecond: 200, firstTokenMs: 50 },
      deployment: {
        functionsDir: "example/minimal/convex",
        log: () => {},
      },
      vite,
    });
    served = name === "Vite" ? parts : await serveWithNext(parts.deployment);
    browser = await launchBrowser();
    page = await browser.newPage();
    page.setDefaultTimeout(60_000);
    page.on("request", (request) => {
      if (request.method() === "POST") posts += 1;
    });
    complaints = complaintsOf(page);
    await page.goto(served.url);
    // Next.js may have to be installed first.
  }, 300_000);
  afterEach(() => {
    expect(complaints).toEqual([]);
  });
  afterAll(async () => {
    await browser?.close();
    if (served !== parts) await served?.close?.();
    await parts?.close();
  });

  /** The status of the reply in the database. */
  async function status(): Promise<unknown> {
    const { deployment } = parts;
    const [message] = (await deployment.call("chat:list")) as {
      streamId: string;
    }[];
    if (message === undefined) return undefined;
    const { streamId } = message;
    const saved = await deployment.call("chat:getStreamBody", { streamId });
    return (saved as { status: string }).status;
  }

  test("a reply streams in, is saved, and is read again without another POST", async () => {
    const input = page.getByPlaceholder("Ask something");
    await input.fill("Why does the sea rise twice a day?");
    await input.press("Enter");
    const reply = page.locator("p").last();
    const lengths = new Set<number>();
    await expect
      .poll(async () => {
        lengths.add((await reply.innerText()).length);
        return await status();
      })
      .toBe("done");
    expect(lengths.size).toBeGreaterThan(3);
    const text = await reply.innerText();
    expect(text).toMatch(/^Why does the sea.*tide/is);
    await page.reload();
    await expect.poll(() => reply.innerText()).toBe(text);
    expect({ posts, asked: parts.model?.asked() }).toEqual({
      posts: 1,
      asked: 1,
    });
  });

  if (name === "Next.js") {
    test("the server renders the page, which the browser takes over", async () => {
      const html = await (await fetch(served.url)).text();
      expect(html).toContain('placeholder="Ask something"');
    });
  }
});
