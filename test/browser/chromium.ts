import { existsSync } from "node:fs";
import { delimiter, join } from "node:path";
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
  executablePath: chromiumPath(),
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

/** `CHROMIUM` from the environment, or the first `chromium` on the PATH. */
function chromiumPath(): string {
  const { CHROMIUM, PATH = "" } = process.env;
  const candidates = CHROMIUM
    ? [CHROMIUM]
    : PATH.split(delimiter).map((folder) => join(folder, "chromium"));
  const found = candidates.find((path) => existsSync(path));
  if (found !== undefined) return found;
  throw new Error(
    CHROMIUM
      ? `CHROMIUM is "${CHROMIUM}", which does not exist.`
      : "The browser tests need Chromium, and there is no `chromium` on the PATH. " +
          "Install it (on Debian or Ubuntu: apt-get install chromium), or set CHROMIUM to the path of a Chromium or Chrome.",
  );
}
