/**
 * The backend's process is killed, as when a machine goes down, and started again with
 * its data, while a page drives and follows streams.
 *
 * `KILL_RUNS` and `KILL_SEED`: the number of kills at random moments, and the first seed.
 */
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type StreamBody, isFinal } from "../../src/shared.js";
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
  [deployment, browser, served] = await Promise.all([
    KilledDeployment.start({
      functionsDir: folder("test/support/app"),
      components: { persistentTextStreaming: folder("src/component") },
    }),
    launchBrowser(),
    servePages(),
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
      resumeUrl: "",
      text: "",
      strict: true,
      incremental: true,
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

function writeUrl(options: Record<string, number>): string {
  const search = new URLSearchParams(
    Object.entries(options).map(([name, value]) => [name, String(value)]),
  );
  return `${deployment.siteUrl}/write?${search}`;
}

const create = () => deployment.call<string>("chat:create");
const saved = (streamId: string) =>
  deployment.call<StreamBody>("chat:body", { streamId });
const runs = (streamId: string) =>
  deployment.call<number>("chat:runs", { streamId });

/** A driver and two followers, with and without `incremental`. */
interface Audience {
  streamId: string;
  driver: Reader;
  followers: Reader[];
}

/** Another URL: components with the same URL share a reader, and the text it got over HTTP. */
const apart = (writeUrl: string, from: string | number = "driver") => ({
  writeUrl: `${writeUrl}&apart=${from}`,
});

async function audience(options: Record<string, number> = {}) {
  const streamId = await create();
  const url = writeUrl({ sentences: SENTENCES, delay: 4, ...options });
  const following = { streamId, ...apart(url), driven: false };
  const followers = [
    await Reader.start(following),
    await Reader.start({ ...following, incremental: false }),
  ];
  const driver = await Reader.start({ streamId, writeUrl: url, driven: true });
  return { streamId, driver, followers };
}

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

test("before the first byte", async () => {
  const all = await audience({ hang: 0 });
  await expect.poll(() => runs(all.streamId)).toBe(1);
  await deployment.killAndStartAgain();
  expect(await all.driver.seen()).toMatchObject({
    text: "",
    status: "pending",
  });
  await timesOut(all);
  await worksAgain();
});

test("in the middle of the text: the page keeps what it has, and recovers", async () => {
  const all = await audience();
  await all.driver.grows(600);
  for (const follower of all.followers) await follower.grows(1);
  await deployment.kill();
  const cut = await Promise.all(
    [all.driver, ...all.followers].map((reader) => reader.seen()),
  );
  for (const { text, status } of cut) {
    expect(status).toBe("streaming");
    expect(text.length).toBeGreaterThan(0);
  }
  await deployment.again();
  const { text } = await saved(all.streamId);
  // What followers were shown is still there.
  for (const shown of cut.slice(1)) {
    expect(text.startsWith(shown.text)).toBe(true);
  }
  await timesOut(all);
  await worksAgain();
});

test("before the claim was committed: the page asks again, and one writer writes all of it", async () => {
  const streamId = await create();
  await deployment.control("faults", { commitDelayMs: 60_000 });
  const url = writeUrl({ sentences: SENTENCES, delay: 1 });
  const props = { writeUrl: url, streamId };
  const asked = page.waitForEvent("request", (request) =>
    request.url().startsWith(deployment.siteUrl),
  );
  const driver = await Reader.start({ ...props, driven: true });
  const follower = await Reader.start({ ...props, driven: false });
  await asked;
  await deployment.killAndStartAgain();
  await driver.shows(WHOLE, "done");
  await follower.shows(WHOLE, "done");
  expect(await runs(streamId)).toBe(1);
});

test("between the text and the commit that ends it", async () => {
  const all = await audience();
  await all.driver.grows(600);
  await deployment.control("faults", { commitDelayMs: 60_000 });
  await all.driver.shows(WHOLE, "streaming");
  await deployment.killAndStartAgain();
  await timesOut(all);
  await worksAgain();
});

test("while a follower goes through the pages of a long text", async () => {
  // More than 8 MiB in UTF-8. A page has 4.
  const sentences = 230_000;
  const text = story(sentences);
  const streamId = await create();
  const url = writeUrl({ sentences, size: 2 ** 18 });
  const props = { writeUrl: url, streamId };
  const driver = await Reader.start({ ...props, driven: true });
  await driver.shows(text, "done");
  // A page of text may arrive before the kill.
  for (let attempt = 0; attempt < 5; attempt++) {
    const follower = await Reader.start({
      ...props,
      ...apart(url, attempt),
      driven: false,
    });
    await follower.grows(1);
    await deployment.kill();
    const { text: first, status } = await follower.seen();
    await deployment.again();
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
  const streamId = await create();
  const url = writeUrl({ sentences, size: 4000, delay: 1 });
  const props = { writeUrl: url, streamId };
  await deployment.control("faults", {
    refuseCommits: 1e9,
    only: "lib:packChunks",
  });
  const driver = await Reader.start({ ...props, driven: true });
  await driver.shows(text, "done");
  const chunks = async () =>
    (await deployment.documents("chunks")).filter(
      (chunk) => chunk.streamId === streamId,
    ).length;
  const before = await chunks();
  const follower = await Reader.start({ ...props, driven: false });
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
