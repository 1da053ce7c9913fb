/** `npm run demo`, as run in a fresh clone. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import type { Browser } from "playwright-core";
import { afterAll, beforeAll, expect, onTestFinished, test } from "vitest";
import { launchBrowser } from "./chromium.js";
import { Chat } from "./chatPage.js";
import { freePorts, holdPort, isListening } from "./ports.js";

const OPTIONS = ["--port", "--convex-port", "--site-port", "--model-port"];

let browser: Browser;
beforeAll(async () => {
  browser = await launchBrowser();
});
afterAll(() => browser?.close());

/** The demo on these ports, in the order of the options. */
function runDemo(ports: number[], program: string, ...before: string[]) {
  const options = OPTIONS.flatMap((option, i) => [option, String(ports[i])]);
  const child = spawn(program, [...before, ...options], {
    cwd: fileURLToPath(new URL("../..", import.meta.url)),
    // Without a key, the demo uses its fake model.
    env: { ...process.env, OPENAI_API_KEY: "", OPENAI_BASE_URL: "" },
    // In its own process group, as in a terminal.
    detached: true,
  });
  const demo = {
    output: "",
    exited: once(child, "close") as Promise<[code: number | null]>,
    /** Sends a signal to the whole group, as a terminal does on Ctrl-C. */
    signal: (signal: NodeJS.Signals) => process.kill(-child.pid!, signal),
  };
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding("utf8").on("data", (text) => (demo.output += text));
  }
  onTestFinished(async () => {
    if (child.exitCode === null && child.signalCode === null) {
      demo.signal("SIGKILL");
    }
    await demo.exited;
  });
  return demo;
}

test("a reply grows word by word, ends, and is the same after a reload; Ctrl-C stops everything", async () => {
  const ports = await freePorts(OPTIONS.length);
  const demo = runDemo(ports, "npm", "run", "demo", "--");
  await expect
    .poll(() => demo.output, { timeout: 90_000 })
    .toMatch(/The demo is running/);
  const url = `http://localhost:${ports[0]}/`;
  expect(demo.output).toContain(url.replace(/\/$/, ""));

  const page = await browser.newPage();
  // The first load takes longer, because Vite prepares everything.
  page.setDefaultTimeout(60_000);
  const chat = await Chat.open(page, url);
  await chat.send("Why does the sea rise twice a day?");
  const lengths = new Set<number>();
  await expect
    .poll(async () => {
      lengths.add((await chat.text()).length);
      return await chat.status();
    })
    .toBe("done");
  expect(lengths.size).toBeGreaterThan(10);
  const text = await chat.text();
  expect(text).toMatch(/tide/i);

  await page.reload();
  await chat.becomes("done");
  await expect.poll(() => chat.text()).toBe(text);

  demo.signal("SIGINT");
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
      const script = "test/local-deployment/demo.ts";
      const demo = runDemo(ports, "npx", "tsx", script);
      const [code] = await demo.exited;
      expect(code).toBe(1);
      expect(demo.output).toContain(`Port ${taken.port}`);
      expect(demo.output).toMatch(new RegExp(`in use.* ${option} \\d+`));
      // A user's mistake gets no stack trace.
      expect(demo.output).not.toMatch(/^\s+at /m);
      await taken.release();
    }),
  );
});
