/**
 * The backend's process is killed, as when a machine goes down, and started again with
 * its data, while a page drives and follows streams.
 *
 * `KILL_RUNS` and `KILL_SEED`: the number of kills at random moments, and the first seed.
 */
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import {
  type StreamBody,
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

const folder = (path: string) =>
  fileURLToPath(new URL(`../../${path}`, import.meta.url));

const SENTENCES = 80;
const WHOLE = story(SENTENCES);

let deployment: KilledDeployment;
let browser: Browser;
let served: Awaited<ReturnType<typeof servePages>>;
let page: Page;
let complaints: string[];

beforeAll(async () => {
  deployment = new KilledDeployment({
    functionsDir: folder("test/support/app"),
    components: { persistentTextStreaming: folder("src/component") },
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
  async shows(text: string, status: StreamBody["status"]): Promise<void> {
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
  deployment.call<StreamBody>("chat:body", { streamId });
const runs = (streamId: string) =>
  deployment.call<number>("chat:runs", { streamId });

/** A new stream, a page that drives it, and what its followers need. */
async function drive(options: Record<string, number> = {}, faults = {}) {
  const streamId = await deployment.call<string>("chat:create");
  await deployment.control("faults", faults);
  const all = { sentences: SENTENCES, delay: 1, ...options };
  const search = Object.entries(all).map(([name, is]) => `${name}=${is}`);
  const writeUrl = `${deployment.siteUrl}/write?${search.join("&")}`;
  const driver = await Reader.start({ streamId, writeUrl, driven: true });
  let followers = 0;
  const follow = (incremental = true) => {
    // Components with the same URL share a reader, and the text it got over HTTP.
    const apart = `${writeUrl}&apart=${followers++}`;
    const props = { streamId, writeUrl: apart, driven: false, incremental };
    return Reader.start(props);
  };
  return { streamId, driver, follow };
}

/** A driver and two followers, with and without `incremental`. */
async function audience(options: Record<string, number> = {}) {
  const { follow, ...all } = await drive({ delay: 4, ...options });
  return { ...all, followers: [await follow(), await follow(false)] };
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
  expect(await saved(streamId)).toEqual({ ...before, status: "timeout" });
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
  const { streamId, driver, follow } = await drive(
    {},
    { commitDelayMs: 60_000 },
  );
  const follower = await follow();
  await asked;
  await deployment.killAndStartAgain();
  await driver.shows(WHOLE, "done");
  await follower.shows(WHOLE, "done");
  expect(await runs(streamId)).toBe(1);
});

test("while a follower goes through the pages of a long text", async () => {
  // More than 8 MiB in UTF-8. A page has 4.
  const sentences = 230_000;
  const text = story(sentences);
  const { driver, follow } = await drive({ sentences, size: 2 ** 18 });
  await driver.shows(text, "done");
  // A page of text may arrive before the kill.
  for (let attempt = 0; attempt < 5; attempt++) {
    const follower = await follow();
    await follower.grows(1);
    await deployment.kill();
    const { text: first, status } = await follower.seen();
    await deployment.start();
    await follower.shows(text, "done");
    await follower.stop();
    if (first.length === text.length) continue;
    expect(status).toBe("streaming");
    return;
  }
  expect.fail("No follower was killed between two pages.");
});

test("while the text is being packed", async () => {
  // Longer than one document, so that it is packed after it has ended.
  const sentences = 8000;
  const text = story(sentences);
  const faults = { refuseCommits: 1e9, only: "lib:packChunks" };
  const options = { sentences, size: 4000 };
  const { streamId, driver, follow } = await drive(options, faults);
  await driver.shows(text, "done");
  const chunks = async () =>
    (await deployment.documents("chunks")).filter(
      (chunk) => chunk.streamId === streamId,
    ).length;
  const before = await chunks();
  const follower = await follow();
  await deployment.killAndStartAgain();
  // What was scheduled before is done after.
  await expect.poll(chunks).toBe(Math.ceil(text.length / 2 ** 16));
  expect(before).toBeGreaterThan(Math.ceil(text.length / 2 ** 16));
  await follower.shows(text, "done");
  expect(await saved(streamId)).toEqual({ text, status: "done" });
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
    const streams = await deployment.documents("streams");
    const stream = streams.find(({ _id }) => _id === all.streamId);
    const isWritten = (await deployment.actions()) > 0;
    const { status } = await saved(all.streamId);
    try {
      // If no writer had claimed it before the kill, the page asks again.
      if (stream?.writer === undefined || isWritten || isFinal(status)) {
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
