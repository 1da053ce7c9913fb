/**
 * The backend's process is killed, as when a machine goes down, and started again with
 * its data, while a page drives and follows streams.
 *
 * `KILL_RUNS` and `KILL_SEED`: the number of kills at random moments, and the first seed.
 */
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import {
  type StreamPage,
  type StreamStatus,
  isFinal,
} from "../../src/shared.js";
import type { Props } from "../clients/page/desk.js";
import { servePages } from "../clients/serve.js";
import { randomFrom } from "../support/random.js";
import { story } from "../support/story.js";
import { launchBrowser } from "./chromium.js";
import { complaintsOf } from "./complaints.js";
import { KilledDeployment } from "./kill/killed-deployment.js";

const SENTENCES = 80;
const WHOLE = story(SENTENCES);

let deployment: KilledDeployment;
let browser: Browser;
let served: Awaited<ReturnType<typeof servePages>>;
let page: Page;
let complaints: string[];

beforeAll(async () => {
  deployment = new KilledDeployment({
    functionsDir: "test/support/app",
  });
  [browser, served] = await Promise.all([
    launchBrowser(),
    servePages(),
    deployment.start(),
  ]);
  page = await browser.newPage();
  complaints = complaintsOf(page);
  await page.goto(`${served.url}react-development`);
  await page.waitForFunction(() => "desk" in window);
});
afterAll(async () => {
  await browser?.close();
  await served?.close();
  await deployment?.end();
});
afterEach(async () => {
  await Promise.all(readers.splice(0).map((reader) => reader.stop()));
  expect(complaints.splice(0)).toEqual([]);
});

/** The hook on the page, under StrictMode. */
class Reader {
  private constructor(private readonly index: number) {}

  static async start(
    props: Partial<Props> & Pick<Props, "streamId" | "writeUrl">,
  ): Promise<Reader> {
    const index = await page.evaluate((all) => window.desk.start("hook", all), {
      deployment: deployment.url,
      ...{ resumeUrl: "", text: "", strict: true, incremental: true },
      ...props,
    });
    const reader = new Reader(index);
    readers.push(reader);
    return reader;
  }

  seen() {
    return page.evaluate((index) => window.desk.seen(index), this.index);
  }

  stop() {
    return page.evaluate((index) => window.desk.stop(index), this.index);
  }

  /** Waits until it shows this. It must never have shown anything else on the way. */
  async shows(text: string, status: StreamStatus): Promise<void> {
    const inShort = (seen: { text: string; status: string }) =>
      `${seen.status}, ${seen.text.length} characters`;
    await expect
      .poll(async () => inShort(await this.seen()))
      .toBe(inShort({ text, status }));
    expect(await this.seen()).toMatchObject({ text, stepBack: null });
  }

  /** Waits in the page itself, where nothing is late. */
  async grows(by: number): Promise<void> {
    const { text } = await this.seen();
    await page.waitForFunction(
      ([index, length]) => window.desk.seen(index).text.length >= length,
      [this.index, text.length + by] as const,
    );
  }
}
const readers: Reader[] = [];

const saved = (streamId: string) =>
  deployment.call<StreamPage>("chat:page", { streamId, from: 0 });
const runs = (streamId: string) =>
  deployment.call<number>("chat:runs", { streamId });

/** A new stream, a component that drives it, and two that follow, with and without `incremental`. */
async function audience(options: Record<string, number> = {}, faults = {}) {
  const streamId = await deployment.call<string>("chat:create");
  await deployment.control("faults", faults);
  const all = { sentences: SENTENCES, delay: 4, ...options };
  const search = Object.entries(all).map(([name, is]) => `${name}=${is}`);
  const writeUrl = `${deployment.siteUrl}/write?${search.join("&")}`;
  const driver = await Reader.start({ streamId, writeUrl, driven: true });
  const followers: Reader[] = [];
  for (const incremental of [true, false]) {
    // Components with the same URL share a reader, and the text it got over HTTP.
    const apart = `${writeUrl}&apart=${incremental}`;
    followers.push(
      await Reader.start({ streamId, writeUrl: apart, incremental }),
    );
  }
  return { streamId, driver, followers };
}
type Audience = Awaited<ReturnType<typeof audience>>;

/** Its writer is dead. The cron finds out in time, and every reader has what was saved. */
async function timesOut({ streamId, driver, followers }: Audience) {
  const before = await saved(streamId);
  expect(isFinal(before.status)).toBe(false);
  await deployment.later(21);
  for (const follower of followers) {
    await follower.shows(before.text, "timeout");
  }
  await expect.poll(async () => (await driver.seen()).status).toBe("timeout");
  const { text, stepBack } = await driver.seen();
  expect(stepBack).toBeNull();
  // Text that came over HTTP and was not saved stays.
  expect(text.startsWith(before.text)).toBe(true);
  expect(WHOLE.startsWith(text)).toBe(true);
  const { text: kept, status } = await saved(streamId);
  expect([kept, status]).toEqual([before.text, "timeout"]);
  // The kill may have come between the claim and the writer's first step.
  expect(await runs(streamId)).toBeLessThanOrEqual(1);
}

/** The same page writes and reads another stream as if nothing had happened. */
async function worksAgain() {
  const { streamId, driver, followers } = await audience({ sentences: 6 });
  for (const reader of [driver, ...followers]) {
    await reader.shows(story(6), "done");
  }
  expect(await runs(streamId)).toBe(1);
}

test.each<
  [string, Record<string, number>, StreamStatus, (all: Audience) => unknown]
>([
  [
    "before the first byte",
    { hang: 0 },
    "pending",
    ({ streamId }) => expect.poll(() => runs(streamId)).toBe(1),
  ],
  [
    "in the middle of the text",
    {},
    "streaming",
    async ({ driver, followers }) => {
      await driver.grows(600);
      for (const follower of followers) await follower.grows(1);
    },
  ],
  [
    "between the text and the commit that ends it",
    {},
    "streaming",
    async ({ driver }) => {
      await driver.grows(600);
      await deployment.control("faults", { commitDelayMs: 60_000 });
      await driver.shows(WHOLE, "streaming");
    },
  ],
])("%s: the page keeps what it has, and recovers", async (...row) => {
  const [, options, status, untilThen] = row;
  const all = await audience(options);
  await untilThen(all);
  await deployment.kill();
  expect((await all.driver.seen()).status).toBe(status);
  const shown = await Promise.all(all.followers.map((one) => one.seen()));
  await deployment.start();
  // What followers were shown is still there.
  const { text } = await saved(all.streamId);
  for (const cut of shown) expect(text.startsWith(cut.text)).toBe(true);
  await timesOut(all);
  await worksAgain();
});

test("before the claim was committed: the page asks again, and one writer writes all of it", async () => {
  const asked = page.waitForEvent("request", (request) =>
    request.url().startsWith(deployment.siteUrl),
  );
  const { streamId, ...all } = await audience({}, { commitDelayMs: 60_000 });
  await asked;
  await deployment.killAndStartAgain();
  for (const reader of [all.driver, ...all.followers]) {
    await reader.shows(WHOLE, "done");
  }
  expect(await runs(streamId)).toBe(1);
});

test("at any moment", async () => {
  const { KILL_RUNS = "2", KILL_SEED = "1" } = process.env;
  const seed = Number(KILL_SEED);
  for (let run = seed; run < seed + Number(KILL_RUNS); run++) {
    const random = randomFrom(run);
    const all = await audience({ delay: 1 + 4 * random() });
    await new Promise((resolve) => setTimeout(resolve, 2500 * random()));
    await deployment.killAndStartAgain();
    // In this order: a stream that is not claimed yet may be claimed at any time from here on.
    const { claimed } = await saved(all.streamId);
    // A writer finishes. An action that finds another's claim only answers.
    await expect.poll(() => deployment.actions()).toBe(0);
    const { status } = await saved(all.streamId);
    try {
      // If no writer had claimed it before the kill, the page asks again.
      if (!claimed || isFinal(status)) {
        for (const reader of [all.driver, ...all.followers]) {
          await reader.shows(WHOLE, "done");
        }
      } else await timesOut(all);
      await worksAgain();
    } catch (error) {
      throw new Error(`With KILL_SEED=${run} (KILL_RUNS=1)`, { cause: error });
    }
    await Promise.all(readers.splice(0).map((reader) => reader.stop()));
  }
});
