/**
 * `npm run screenshots`: makes the README's picture from the real page, with the
 * driver and a follower of one stream side by side, in mid-stream.
 */
import { mkdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import type { Page } from "playwright-core";
import { launchBrowser } from "./browser.js";
import { startDemo } from "./startDemo.js";

const PICTURE = fileURLToPath(
  new URL("../../docs/side-by-side.png", import.meta.url),
);

/** Where the picture is taken: the story is under way, and fills its panes. */
const CHARACTERS = 1150;

async function takePicture(page: Page, url: string): Promise<void> {
  await page.goto(`${url}/compare`);
  await page.getByRole("button", { name: "Start a reply" }).click();
  await page.getByRole("button", { name: "Open ten followers" }).click();
  // Nothing that is under the pointer, nor in the keyboard's focus.
  await page.mouse.move(0, 0);
  await page.evaluate(() => (document.activeElement as HTMLElement).blur());
  await page.evaluate(() => document.fonts.ready);
  await page
    .getByRole("article", { name: "Driven" })
    .locator("dd")
    .first()
    .filter({ hasText: /\d/ })
    .waitFor();
  await page.waitForFunction((wanted) => {
    const figure = document.querySelector("article dd")?.textContent ?? "";
    return Number(figure.replaceAll(/\D/g, "")) >= wanted;
  }, CHARACTERS);
  await page.screenshot({ path: PICTURE });
}

const demo = await startDemo();
const browser = await launchBrowser();
try {
  await demo.pace(60);
  await mkdir(new URL(".", `file://${PICTURE}`), { recursive: true });
  const page = await browser.newPage({
    viewport: { width: 1200, height: 720 },
    colorScheme: "light",
  });
  await takePicture(page, demo.url);
  console.log(`${PICTURE} is made.`);
} finally {
  await browser.close();
  await demo.close();
}
