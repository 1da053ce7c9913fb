/** Measures in Chromium what the hook costs its page, and how it slows down everything else there. */
import { setInterval } from "node:timers/promises";
import { Hono } from "hono";
import { streamText } from "hono/streaming";
import type { CDPSession, Page } from "playwright-core";
import { launchBrowser } from "../test/browser/chromium.js";
import { Listener } from "../test/local-deployment/listener.js";
import { charactersOf, writeUrl } from "./apps/writer.js";
import type { Host } from "./bench-host.js";
import { bundle, median, percentile } from "./figures.js";
import type { HookName, How } from "./hook/bench-page.js";
import { createStream } from "./replies.js";

/** The versions of React that the package supports. */
export type ReactVersion = "18.3" | "19";

const aliases: Record<ReactVersion, Record<string, string>> = {
  "18.3": { react: "react-18", "react-dom": "react-dom-18" },
  "19": {},
};

type Use<Result> = (page: Page, devTools: CDPSession) => Promise<Result>;

/** A page in a new browser, connected to the deployment. */
async function withPage<Result>(
  host: Host,
  use: Use<Result>,
  react: ReactVersion = "19",
): Promise<Result> {
  const script = await bundle(new URL("hook/bench-page.tsx", import.meta.url), {
    jsx: "automatic",
    define: { "process.env.NODE_ENV": '"production"' },
    alias: aliases[react],
  });
  const app = new Hono()
    .get("/", ({ html }) =>
      html('<!doctype html><script defer src="/page.js"></script>'),
    )
    .get("/page.js", ({ body }) =>
      body(Buffer.from(script), 200, { "Content-Type": "text/javascript" }),
    )
    // Writes `before` characters at once, and then a token every `pace` ms.
    .post("/write", (context) => {
      const option = (name: string) => Number(context.req.query(name));
      return streamText(context, async (response) => {
        const line = `${TOKEN.repeat(8)}\n`;
        await response.write(line.repeat(option("before") / line.length + 1));
        let written = 0;
        for await (const _ of setInterval(option("pace"))) {
          if (response.aborted || written === option("tokens")) break;
          await response.write(++written % 5 === 0 ? "\n" : TOKEN);
        }
      });
    });
  const listener = new Listener(0, app);
  await listener.open();
  const browser = await launchBrowser();
  try {
    const page = await browser.newPage();
    await page.goto(listener.url);
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

async function metric(devTools: CDPSession, name: string): Promise<number> {
  const { metrics } = await devTools.send("Performance.getMetrics");
  return metrics.find((metric) => metric.name === name)?.value ?? NaN;
}

/** Shows a reply of the deployment, which the page drives. Resolves with how often it was rendered, when it is complete. */
async function drive(
  page: Page,
  host: Host,
  hook: HookName,
  tokens: number,
  pace: number,
): Promise<number> {
  const id = await createStream(host);
  const url = writeUrl(host, { tokens, pace });
  return await page.evaluate(
    ([reply, characters]) => bench.complete(reply, characters),
    [{ hook, id, url }, charactersOf(tokens)] as const,
  );
}

/** What one reply costs, per 1,000 tokens: renders, and how long (ms) the main thread ran scripts and was busy at all. */
export async function rendering(
  host: Host,
  hook: HookName,
  tokens: number,
  pace: number,
) {
  return await withPage(host, async (page, devTools) => {
    const [scripts, busy] = await Promise.all([
      metric(devTools, "ScriptDuration"),
      metric(devTools, "TaskDuration"),
    ]);
    const renders = await drive(page, host, hook, tokens, pace);
    const since = async (name: string, before: number) =>
      1000 * ((await metric(devTools, name)) - before);
    const per = tokens / 1000;
    return {
      renders: renders / per,
      scripts: (await since("ScriptDuration", scripts)) / per,
      mainThread: (await since("TaskDuration", busy)) / per,
    };
  });
}

/** The page's heap (bytes) when it shows so many replies, which it drove. */
export async function heap(
  host: Host,
  hook: HookName,
  replies: number,
  tokens: number,
): Promise<number> {
  return await withPage(host, async (page, devTools) => {
    for (let i = 0; i < replies; i++) await drive(page, host, hook, tokens, 0);
    await devTools.send("HeapProfiler.enable");
    await devTools.send("HeapProfiler.collectGarbage");
    return await metric(devTools, "JSHeapUsedSize");
  });
}

const TOKEN = "token ";
/** 100 tokens a second. */
const UNENDING = { before: 0, pace: 10, tokens: 1e6 };

export type Shown = HookName | "alone";

/** Shows a reply of the page's own server, and other components beside it, or these alone. */
async function withReply(
  host: Host,
  hook: Shown,
  query: typeof UNENDING,
  use: Use<number>,
  react?: ReactVersion,
): Promise<number> {
  const id = await createStream(host);
  const show: Use<number> = async (page, devTools) => {
    const search = new URLSearchParams(
      Object.entries(query).map(([name, value]) => [name, String(value)]),
    );
    const url = new URL(`/write?${search}`, page.url()).href;
    const reply = hook === "alone" ? null : { hook, id, url };
    await page.evaluate((reply) => bench.showBeside(reply), reply);
    return await use(page, devTools);
  };
  return await withPage(host, show, react);
}

/** How long (ms) 300 ms of other rendering take beside a reply of 100 tokens a second: the median of several. */
export async function beside(
  host: Host,
  hook: Shown,
  how: How,
  times: number,
  react: ReactVersion,
): Promise<number> {
  const use: Use<number> = async (page) => {
    if (hook !== "alone") await page.evaluate(() => bench.reached(100));
    const took: number[] = [];
    for (let i = 0; i < times; i++) {
      took.push(await page.evaluate((how) => bench.update(how), how));
    }
    return median(took);
  };
  return await withReply(host, hook, UNENDING, use, react);
}

/** How long (ms) clicks wait for their rendering beside a reply that takes 100 ms to render: the 95th percentile. */
export async function clicks(
  host: Host,
  hook: Shown,
  times: number,
  react: ReactVersion,
): Promise<number> {
  const use: Use<number> = async (page) => {
    await page.evaluate(() => bench.reached(100));
    await page.evaluate(() => bench.slowDown(100));
    const button = await page.locator("button").boundingBox();
    if (button === null) throw new Error("The page has no button.");
    for (let i = 0; i < times; i++) {
      // At any moment of a rendering and of a pause.
      await page.waitForTimeout(300 + ((i * 37) % 200));
      await page.mouse.click(button.x + 1, button.y + 1);
    }
    await page.waitForTimeout(1000);
    return percentile(await page.evaluate(() => bench.clicks), 0.95);
  };
  return await withReply(host, hook, UNENDING, use, react);
}

/** How long (ms) the main thread was busy for 1,000 tokens after a text of so many characters. */
export async function long(
  host: Host,
  hook: Shown,
  before: number,
): Promise<number> {
  const query = { before, pace: 4, tokens: 1200 };
  return await withReply(host, hook, query, async (page, devTools) => {
    const reached = (length: number) =>
      page.evaluate((length) => bench.reached(length), length);
    await reached(before + 200);
    // In all: `ScriptDuration` leaves out what runs when a piece of a response arrives.
    const start = await metric(devTools, "TaskDuration");
    await reached(before + 200 + 1000 * 5);
    return 1000 * ((await metric(devTools, "TaskDuration")) - start);
  });
}
