/** Measures in Chromium what the hook costs its page, and how it slows down everything else there. */
import { setInterval } from "node:timers/promises";
import { Hono } from "hono";
import { streamText } from "hono/streaming";
import type { CDPSession, Page } from "playwright-core";
import { launchBrowser } from "../test/browser/chromium.js";
import { Listener } from "../test/local-deployment/listener.js";
import { charactersOf, writeUrl, type Plan } from "./apps/writer.js";
import type { Host } from "./bench-host.js";
import { bundle, median, percentile } from "./figures.js";
import type { How } from "./hook/bench-page.js";
import { createStream } from "./replies.js";
import type { TargetName } from "./targets.js";

/** The versions of React that the package supports. */
export type ReactVersion = "18.3" | "19";

const aliases: Record<ReactVersion, Record<string, string>> = {
  "18.3": { react: "react-18", "react-dom": "react-dom-18" },
  "19": {},
};

const TOKEN = "token ";

/** A server that writes `before` characters at once, and then a token every `pace` ms. */
const server = new Hono()
  .get("/", ({ html }) => html("<!doctype html>"))
  .post("/write/:before/:pace", (context) =>
    streamText(context, async (response) => {
      const { before, pace } = context.req.param();
      const line = `${TOKEN.repeat(8)}\n`;
      await response.write(line.repeat(Number(before) / line.length + 1));
      let written = 0;
      for await (const _ of setInterval(Number(pace))) {
        if (response.aborted) break;
        await response.write(++written % 5 === 0 ? "\n" : TOKEN);
      }
    }),
  );

/** A page in a new browser, connected to the deployment. */
async function withPage<Result>(
  host: Host,
  use: (page: Page, devTools: CDPSession) => Promise<Result>,
  react: ReactVersion = "19",
): Promise<Result> {
  const script = await bundle(new URL("hook/bench-page.tsx", import.meta.url), {
    jsx: "automatic",
    define: { "process.env.NODE_ENV": '"production"' },
    alias: aliases[react],
  });
  const listener = new Listener(0, server);
  await listener.open();
  const browser = await launchBrowser();
  try {
    const page = await browser.newPage();
    await page.goto(listener.url);
    await page.addScriptTag({ content: Buffer.from(script).toString() });
    const devTools = await page.context().newCDPSession(page);
    // Time of the thread, which other work on the machine does not add to.
    await devTools.send("Performance.enable", { timeDomain: "threadTicks" });
    await page.evaluate((url) => bench.connect(url), host.url);
    return await use(page, devTools);
  } finally {
    await browser.close();
    await listener.close();
  }
}

/** Measures how long (ms) the main thread ran scripts, and was busy at all, while something happens. */
async function busy(devTools: CDPSession, happens: () => Promise<unknown>) {
  const read = async () => {
    const { metrics } = await devTools.send("Performance.getMetrics");
    const valueOf = (name: string) =>
      1000 * (metrics.find((metric) => metric.name === name)?.value ?? NaN);
    return { scripts: valueOf("ScriptDuration"), all: valueOf("TaskDuration") };
  };
  const before = await read();
  await happens();
  const after = await read();
  return {
    scripts: after.scripts - before.scripts,
    all: after.all - before.all,
  };
}

const reached = (page: Page, length: number) =>
  page.evaluate((length) => bench.reached(length), length);

/** Shows a reply of the deployment, which the page drives, until it is complete. */
async function drive(page: Page, host: Host, hook: TargetName, plan: Plan) {
  const id = await createStream(host);
  const reply = { hook, id, url: writeUrl(host, plan) };
  await page.evaluate((reply) => bench.show(reply), reply);
  await reached(page, charactersOf(plan.tokens));
  // Later renders count, too.
  await page.waitForTimeout(300);
}

/** What one reply costs, per 1,000 tokens: renders, and time (ms) of the main thread. */
export const rendering = (
  host: Host,
  hook: TargetName,
  tokens: number,
  pace: number,
) =>
  withPage(host, async (page, devTools) => {
    const { scripts, all } = await busy(devTools, () =>
      drive(page, host, hook, { tokens, pace }),
    );
    const renders = await page.evaluate(() => bench.renders);
    const per = tokens / 1000;
    return {
      renders: renders / per,
      scripts: scripts / per,
      mainThread: all / per,
    };
  });

/** The page's heap (bytes) when it shows so many replies, which it drove. */
export const heap = (
  host: Host,
  hook: TargetName,
  replies: number,
  tokens: number,
) =>
  withPage(host, async (page, devTools) => {
    for (let i = 0; i < replies; i++) {
      await drive(page, host, hook, { tokens, pace: 0 });
    }
    await devTools.send("HeapProfiler.enable");
    await devTools.send("HeapProfiler.collectGarbage");
    const { usedSize } = await devTools.send("Runtime.getHeapUsage");
    return { heap: usedSize };
  });

/** Shows the length of a reply of the page's own server, which does not end, and other components beside it. */
async function show(
  page: Page,
  host: Host,
  hook: TargetName,
  before = 0,
  pace = 10,
) {
  const id = await createStream(host);
  const url = new URL(`/write/${before}/${pace}`, page.url()).href;
  const reply = hook === "alone" ? null : { hook, id, url, lengthOnly: true };
  await page.evaluate((reply) => bench.show(reply), reply);
  if (reply !== null) await reached(page, before + 200);
}

/** How long (ms) 300 ms of other rendering take beside a reply of 100 tokens a second. */
export const beside = (
  host: Host,
  hook: TargetName,
  how: How,
  react: ReactVersion,
) =>
  withPage(
    host,
    async (page) => {
      await show(page, host, hook);
      const took: number[] = [];
      for (let i = 0; i < 5; i++) {
        took.push(await page.evaluate((how) => bench.update(how), how));
      }
      return { beside: median(took) };
    },
    react,
  );

/** How long (ms) clicks wait for their rendering beside a reply that takes 100 ms to render. */
export const clicks = (host: Host, hook: TargetName, react: ReactVersion) =>
  withPage(
    host,
    async (page) => {
      await show(page, host, hook);
      await page.evaluate(() => bench.slowDown(100));
      const button = await page.locator("button").boundingBox();
      if (button === null) throw new Error("The page has no button.");
      for (let i = 0; i < 20; i++) {
        // At any moment of a rendering and of a pause.
        await page.waitForTimeout(300 + ((i * 37) % 200));
        await page.mouse.click(button.x + 1, button.y + 1);
      }
      await page.waitForTimeout(1000);
      return {
        click: percentile(await page.evaluate(() => bench.clicks), 0.95),
      };
    },
    react,
  );

/** How long (ms) the main thread is busy for 1,000 tokens after a text of so many characters. */
export const growing = (host: Host, hook: TargetName, before: number) =>
  withPage(host, async (page, devTools) => {
    if (hook === "alone") return {};
    await show(page, host, hook, before, 4);
    // In all: `ScriptDuration` leaves out what runs when a piece of a response arrives.
    const { all } = await busy(devTools, () =>
      reached(page, before + 200 + 1000 * 5),
    );
    return { mainThreadBeside: all };
  });
