/** `npm run demo`, as run in a fresh clone. */
import type { Browser } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { launchBrowser } from "./browser.js";
import { Chat, PATIENCE, watchLengths } from "./chatPage.js";
import { Command, withoutKey } from "./command.js";
import { freePorts, holdPort, isListening } from "./ports.js";

const OPTIONS = ["--port", "--convex-port", "--site-port", "--model-port"];

let browser: Browser;
const commands: Command[] = [];

beforeAll(async () => {
  browser = await launchBrowser();
});
afterAll(() => browser?.close());
afterEach(async () => {
  await Promise.all(commands.splice(0).map((command) => command.kill()));
});

/** The demo on these ports, in the order of the options. */
function runDemo(
  ports: number[],
  [program = "", ...before]: string[] = ["npm", "run", "demo", "--"],
): Command {
  const options = OPTIONS.flatMap((option, i) => [option, String(ports[i])]);
  const demo = new Command(program, [...before, ...options], withoutKey);
  commands.push(demo);
  return demo;
}

async function isUp(demo: Command): Promise<void> {
  await expect
    .poll(() => demo.output, { timeout: 90_000 })
    .toMatch(/The demo is running/);
}

test("a reply grows word by word, ends, and is the same after a reload; Ctrl-C stops everything", async () => {
  const ports = await freePorts(OPTIONS.length);
  const startedAt = performance.now();
  const demo = runDemo(ports);
  await isUp(demo);
  const url = `http://localhost:${ports[0]}/`;
  expect(demo.output).toContain(url.replace(/\/$/, ""));
  const upAt = performance.now();

  const page = await browser.newPage();
  // The first load takes longer, because Vite prepares everything.
  page.setDefaultTimeout(60_000);
  const chat = await Chat.open(page, url);
  const usableAt = performance.now();
  console.log(
    `npm run demo: running after ${seconds(upAt - startedAt)}, its page usable after ${seconds(usableAt - startedAt)}`,
  );

  await chat.send("Why does the sea rise twice a day?");
  await chat.becomes("streaming");
  const lengths = await watchLengths(chat.reply);
  await chat.becomes("done");
  const distinct = new Set(await lengths());
  expect(distinct.size).toBeGreaterThan(30);
  const text = await chat.text();
  expect(text).toMatch(/tide/i);

  await page.reload();
  await chat.becomes("done");
  await expect.poll(() => chat.text(), PATIENCE).toBe(text);

  demo.interrupt();
  await demo.exited;
  for (const port of ports) expect(await isListening(port)).toBe(false);
  await page.close();
});

test("a port in use: the message names it and the option that changes it", async () => {
  await Promise.all(
    OPTIONS.map(async (option) => {
      const taken = await holdPort();
      const ports = await freePorts(OPTIONS.length);
      ports[OPTIONS.indexOf(option)] = taken.port;
      // Without npm, which would run four builds at once.
      const demo = runDemo(ports, [
        "npx",
        "tsx",
        "test/local-deployment/demo.ts",
      ]);
      expect(await demo.exited).toBe(1);
      expect(demo.output).toContain(`Port ${taken.port}`);
      expect(demo.output).toMatch(new RegExp(`in use.* ${option} \\d+`));
      // A user's mistake gets no stack trace.
      expect(demo.output).not.toMatch(/^\s+at /m);
      await taken.release();
    }),
  );
});

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
