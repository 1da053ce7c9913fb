import { chromium, type Browser } from "playwright-core";
import puppeteer from "puppeteer-core";

const ARGUMENTS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** Starts Chromium without background traffic, with Playwright or Puppeteer. */
export const chromiumOptions = () => ({
  // Debian's. On another system, set CHROMIUM to the path of a Chromium or Chrome.
  executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
  args: ARGUMENTS,
});

/** Chromium with a fresh profile. */
export function launchBrowser(): Promise<Browser> {
  return chromium.launch(chromiumOptions());
}

/**
 * A browser that hides tabs behind other tabs, as in everyday use. One that Playwright
 * launches keeps every page visible.
 */
export async function launchBrowserWithTabs() {
  const launched = await puppeteer.launch(chromiumOptions());
  const browser = await chromium.connectOverCDP(launched.wsEndpoint(), {
    noDefaults: true,
  });
  return { context: browser.contexts()[0]!, close: () => launched.close() };
}
