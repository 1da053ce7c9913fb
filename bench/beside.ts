/** What a reply costs what is beside it, and what a long one costs itself, in Chromium. */
import type { RequestListener } from "node:http";
import type { Host } from "./bench-host.js";
import { metric, withPage, type ReactVersion } from "./hook.js";
import type { Hook, How } from "./hook/beside-page.js";
import { median, percentile } from "./statistics.js";

const TOKEN = "token ";

/** Writes `before` characters at once, and then a token every `pace` ms. */
const write: RequestListener = (request, response) => {
  const { searchParams } = new URL(request.url ?? "", "http://localhost");
  const option = (name: string) => Number(searchParams.get(name));
  response.setHeader("Content-Type", "text/plain");
  const line = `${TOKEN.repeat(8)}\n`;
  response.write(line.repeat(option("before") / line.length + 1));
  let written = 0;
  const timer = setInterval(() => {
    response.write(++written % 5 === 0 ? "\n" : TOKEN);
    if (written >= option("tokens")) response.end();
  }, option("pace"));
  response.on("close", () => clearInterval(timer));
};

const page = "./hook/beside-page.tsx";
/** 100 tokens a second. */
const UNENDING = { before: 0, pace: 10, tokens: 1e6 };

async function show(
  host: Host,
  hook: Hook,
  query: Record<string, number>,
  run: Parameters<typeof withPage<number>>[0],
  react?: ReactVersion,
): Promise<number> {
  const id = (await host.call("streams:create")) as string;
  return await withPage(
    async (tab, devTools) => {
      const search = new URLSearchParams(
        Object.entries(query).map(([name, value]) => [name, String(value)]),
      );
      const url = new URL(`/write?${search}`, tab.url()).href;
      await tab.evaluate(
        ([hook, deployment, url, id]) =>
          busyPage.show(hook, deployment, url, id),
        [hook, host.url, url, id] as const,
      );
      return await run(tab, devTools);
    },
    page,
    write,
    react,
  );
}

/** How long (ms) 300 ms of other rendering take beside a reply of 100 tokens a second: the median of several. */
export async function beside(
  host: Host,
  hook: Hook,
  how: How,
  times: number,
  react: ReactVersion,
): Promise<number> {
  const run: Parameters<typeof show>[3] = async (tab) => {
    if (hook !== null) await tab.evaluate(() => busyPage.reached(100));
    const took: number[] = [];
    for (let i = 0; i < times; i++) {
      took.push(await tab.evaluate((how) => busyPage.update(how), how));
    }
    return median(took);
  };
  return await show(host, hook, UNENDING, run, react);
}

/** How long (ms) clicks wait for their rendering beside a reply that takes 100 ms to render: the 95th percentile. */
export async function clicks(
  host: Host,
  hook: Hook,
  times: number,
  react: ReactVersion,
): Promise<number> {
  const run: Parameters<typeof show>[3] = async (tab) => {
    await tab.evaluate(() => busyPage.reached(100));
    await tab.evaluate(() => busyPage.slowDown(100));
    const button = await tab.locator("button").boundingBox();
    if (button === null) throw new Error("The page has no button.");
    for (let i = 0; i < times; i++) {
      // At any moment of a rendering and of a pause.
      await tab.waitForTimeout(300 + ((i * 37) % 200));
      await tab.mouse.click(button.x + 1, button.y + 1);
    }
    await tab.waitForTimeout(1000);
    return percentile(await tab.evaluate(() => busyPage.clicks), 0.95);
  };
  return await show(host, hook, UNENDING, run, react);
}

/** How long (ms) the main thread ran scripts for 1,000 tokens behind a text of so many characters. */
export async function long(
  host: Host,
  hook: Hook,
  before: number,
): Promise<number> {
  const query = { before, pace: 4, tokens: 1200 };
  return await show(host, hook, query, async (tab, devTools) => {
    const reached = (length: number) =>
      tab.evaluate((length) => busyPage.reached(length), length);
    await reached(before + 200);
    const start = await metric(devTools, "ScriptDuration");
    await reached(before + 200 + 1000 * 5);
    return 1000 * ((await metric(devTools, "ScriptDuration")) - start);
  });
}
