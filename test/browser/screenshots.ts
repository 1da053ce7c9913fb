/**
 * `npm run screenshots`: makes the pictures of the README from the real page, with
 * the driver and a follower of one stream side by side: a still, and a short loop.
 * The loop needs `img2webp` (on Debian or Ubuntu: apt-get install webp).
 */
import { execFile } from "node:child_process";
import { mkdtemp, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Page } from "playwright-core";
import { launchBrowser } from "./browser.js";
import { startDemo } from "./startDemo.js";

const docs = fileURLToPath(new URL("../../docs", import.meta.url));

/** The still is taken here: the story is under way, and fills its panes. */
const STILL_CHARACTERS = 1150;
const FRAMES = 48;
const FRAME_MS = 125;

async function open(page: Page, url: string): Promise<void> {
  await page.goto(`${url}/compare`);
  await page.getByRole("button", { name: "Start a reply" }).waitFor();
  await page.evaluate(() => document.fonts.ready);
}

async function start(page: Page): Promise<void> {
  await page.getByRole("button", { name: "Start a reply" }).click();
  // Nothing under the pointer, nothing in the keyboard's focus.
  await page.mouse.move(0, 0);
  await page.evaluate(() => (document.activeElement as HTMLElement).blur());
}

async function still(page: Page, url: string): Promise<string> {
  const path = join(docs, "side-by-side.png");
  await open(page, url);
  await start(page);
  await page.getByRole("button", { name: "Open ten followers" }).click();
  await page.mouse.move(0, 0);
  await page.waitForFunction((wanted) => {
    const figure = document.querySelector("article dd")?.textContent ?? "";
    return Number(figure.replaceAll(/\D/g, "")) >= wanted;
  }, STILL_CHARACTERS);
  await page.screenshot({ path });
  return path;
}

/** Frames of the two panes, from the first words on, as an animated WebP. */
async function loop(page: Page, url: string): Promise<string> {
  const path = join(docs, "side-by-side.webp");
  const folder = await mkdtemp(join(tmpdir(), "frames-"));
  try {
    await open(page, url);
    const panes = await page
      .getByRole("article", { name: "Driven" })
      .locator("..")
      .boundingBox();
    if (panes === null) throw new Error("The panes are not on the page.");
    await start(page);
    const frames: string[] = [];
    let next = performance.now();
    for (let i = 0; i < FRAMES; i++) {
      const frame = join(folder, `${String(i).padStart(3, "0")}.png`);
      await page.screenshot({ path: frame, clip: panes });
      frames.push(frame);
      next += FRAME_MS;
      await page.waitForTimeout(Math.max(0, next - performance.now()));
    }
    await promisify(execFile)("img2webp", [
      ...[
        "-loop",
        "0",
        "-d",
        String(FRAME_MS),
        "-lossy",
        "-q",
        "60",
        "-m",
        "6",
      ],
      ...frames,
      ...["-o", path],
    ]);
    return path;
  } finally {
    await rm(folder, { recursive: true });
  }
}

const demo = await startDemo();
const browser = await launchBrowser();
try {
  await demo.pace(60);
  for (const [picture, height] of [
    [still, 720],
    [loop, 560],
  ] as const) {
    const page = await browser.newPage({
      viewport: { width: picture === still ? 1200 : 1024, height },
      colorScheme: "light",
    });
    const path = await picture(page, demo.url);
    const { size } = await stat(path);
    console.log(`${path}: ${(size / 1000).toFixed(0)} kB`);
    await page.close();
  }
} finally {
  await browser.close();
  await demo.close();
}
