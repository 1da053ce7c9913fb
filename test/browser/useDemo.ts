import type { Browser, BrowserContext, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll } from "vitest";
import { launchBrowser } from "./browser.js";
import { FAST, startDemo, type Demo } from "./startDemo.js";

/** The demo and the browser for a file of tests, and for each test a user. */
export function useDemo() {
  let demo: Demo | undefined;
  let browser: Browser | undefined;
  const contexts: BrowserContext[] = [];

  beforeAll(async () => {
    [demo, browser] = await Promise.all([startDemo(), launchBrowser()]);
    // Vite prepares a page on its first request. No test should wait for that.
    const page = await browser.newPage();
    for (const path of ["/compare", "/assistant", "/"]) {
      await page.goto(demo.url + path);
      await page.getByRole("button").first().waitFor({ timeout: 90_000 });
    }
    await page.close();
  });
  afterEach(async () => {
    await Promise.all(contexts.splice(0).map((context) => context.close()));
    demo?.setKey("none-needed");
    await demo?.pace(FAST);
  });
  afterAll(async () => {
    await browser?.close();
    await demo?.close();
  });

  return {
    get demo(): Demo {
      return demo!;
    },
    /** The browser of a new user. Its pages share that user. */
    async newUser(
      options?: Parameters<Browser["newContext"]>[0],
    ): Promise<BrowserContext> {
      const context = await browser!.newContext(options);
      context.setDefaultTimeout(60_000);
      contexts.push(context);
      return context;
    },
    async newPage(
      options?: Parameters<Browser["newContext"]>[0],
    ): Promise<Page> {
      return await (await this.newUser(options)).newPage();
    },
  };
}
