/** The README's quick start (example/minimal) with Vite and Next.js: its page, its functions and the real `openai`. */
import react from "@vitejs/plugin-react";
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { createServer } from "vite";
import {
  startDeployment,
  type LocalDeployment,
} from "../local-deployment/deployment.js";
import {
  startModel,
  type Model,
} from "../local-deployment/model/model-server.js";
import { sources } from "../support/sources.js";
import { launchBrowser } from "./chromium.js";
import { complaintsOf } from "./complaints.js";
import { serveWithNext } from "./minimal/next.js";

const folder = (path: string) =>
  fileURLToPath(new URL(`../../${path}`, import.meta.url));

async function serveWithVite(urls: { url: string; siteUrl: string }) {
  process.env.VITE_CONVEX_URL = urls.url;
  process.env.VITE_CONVEX_SITE_URL = urls.siteUrl;
  const vite = await createServer({
    configFile: false,
    root: folder("test/browser/minimal"),
    cacheDir: folder("node_modules/.vite-minimal"),
    plugins: [react()],
    resolve: { alias: sources },
    server: { port: 0, hmr: false, watch: null, fs: { allow: [folder("")] } },
    logLevel: "warn",
  });
  await vite.listen();
  return { url: vite.resolvedUrls!.local[0]!, close: () => vite.close() };
}

describe.each([
  ["Vite", serveWithVite],
  ["Next.js", serveWithNext],
] as const)("with %s", (name, serve) => {
  let model: Model;
  let deployment: LocalDeployment;
  let served: Awaited<ReturnType<typeof serve>>;
  let browser: Browser;
  let page: Page;
  let complaints: string[];
  let posts = 0;

  beforeAll(async () => {
    [model, browser] = await Promise.all([
      startModel({ tokensPerSecond: 200, firstTokenMs: 50 }),
      launchBrowser(),
    ]);
    process.env.OPENAI_BASE_URL = model.baseURL;
    process.env.OPENAI_API_KEY = "none-needed";
    deployment = await startDeployment({
      functionsDir: folder("example/minimal/convex"),
      components: { persistentTextStreaming: folder("src/component") },
      log: () => {},
    });
    served = await serve(deployment);
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
    await served?.close();
    await deployment?.stop();
    await model?.close();
  });

  /** The status of the reply in the database. */
  async function status(): Promise<unknown> {
    const [stream] = (await deployment.call("chat:list")) as {
      streamId: string;
    }[];
    if (stream === undefined) return undefined;
    const { streamId } = stream;
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
    expect({ posts, asked: model.asked() }).toEqual({ posts: 1, asked: 1 });
  });

  if (name === "Next.js") {
    test("the server renders the page, which the browser takes over", async () => {
      const html = await (await fetch(served.url)).text();
      expect(html).toContain('placeholder="Ask something"');
    });
  }
});
