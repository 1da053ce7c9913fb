/**
 * The backend's process is killed, as a machine that goes down kills it, and
 * started again with its data, while a page drives and follows streams.
 *
 * `KILL_RUNS` and `KILL_SEED`: how many more kills at random moments, and which.
 */
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { type StreamBody, isFinal } from "../../src/shared.js";
import { randomFrom } from "../support/random.js";
import { story } from "../support/story.js";
import { launchBrowser } from "./browser.js";
import { Chat, PATIENCE } from "./chatPage.js";
import { servePage } from "./hook/build.js";
import { complaintsOf } from "./hook/complaints.js";
import type { Lab } from "./hook/hook-page.js";
import type { ReaderProps } from "../support/reader.js";
import { RemoteReader } from "./hook/remote.js";
import { serveChat } from "./kill/serve-chat.js";
import { KilledDeployment } from "./kill/killed-deployment.js";
import { startModel } from "../local-deployment/model/model-server.js";

const folder = (path: string) =>
  fileURLToPath(new URL(`../../${path}`, import.meta.url));

const SENTENCES = 80;
const WHOLE = story(SENTENCES);

let deployment: KilledDeployment;
let browser: Browser;
let served: Awaited<ReturnType<typeof servePage>>;
let page: Page;
let complaints: string[];

beforeAll(async () => {
  [deployment, browser, served] = await Promise.all([
    KilledDeployment.start({
      functionsDir: folder("test/support/app"),
      components: { persistentTextStreaming: folder("src/component") },
    }),
    launchBrowser(),
    servePage("development"),
  ]);
  page = await browser.newPage();
  complaints = complaintsOf(page);
  const url = new URL(served.url);
  url.searchParams.set("deployment", deployment.url);
  url.searchParams.set("strict", "");
  await page.goto(url.href);
  await page.waitForFunction(() => "lab" in window);
});
afterAll(async () => {
  await browser?.close();
  await served?.close();
  await deployment?.end();
});
afterEach(async () => {
  await Promise.all(readers.splice(0).map((reader) => reader.unmount()));
  expect(complaints.splice(0)).toEqual([]);
});

const readers: RemoteReader[] = [];

async function mount(props: ReaderProps): Promise<RemoteReader> {
  const reader = await RemoteReader.mount(page, props);
  readers.push(reader);
  return reader;
}

function writeUrl(options: Record<string, number>): string {
  const search = new URLSearchParams(
    Object.entries(options).map(([name, value]) => [name, String(value)]),
  );
  return `${deployment.siteUrl}/write?${search}`;
}

/** As the page creates a stream, over its own connection. */
const create = () =>
  page.evaluate(() => (window as unknown as { lab: Lab }).lab.create());
const isConnected = () =>
  page.evaluate(() => (window as unknown as { lab: Lab }).lab.isConnected());
const saved = (streamId: string) =>
  deployment.call<StreamBody>("chat:body", { streamId });
const runs = (streamId: string) =>
  deployment.call<number>("chat:runs", { streamId });

/** One who drives and two who follow, with and without `incremental`. */
interface Audience {
  streamId: string;
  driver: RemoteReader;
  followers: RemoteReader[];
}

/** Another URL: components with the same one share a reader, and with it what HTTP brought. */
const apart = (url: string, from: string | number = "driver") => ({
  url: `${url}&apart=${from}`,
});

async function audience(options: Record<string, number> = {}) {
  const streamId = await create();
  const url = writeUrl({ sentences: SENTENCES, delay: 4, ...options });
  const props = { url, streamId, incremental: true };
  const followers = [
    await mount({ ...props, ...apart(url), driven: false }),
    await mount({
      ...props,
      ...apart(url),
      driven: false,
      incremental: false,
    }),
  ];
  const driver = await mount({ ...props, driven: true });
  return { streamId, driver, followers };
}

/** Its writer is dead. The cron says so when its time has come, and everybody has what was saved. */
async function timesOut({ streamId, driver, followers }: Audience) {
  const before = await saved(streamId);
  expect(isFinal(before.status)).toBe(false);
  await deployment.later(21);
  for (const follower of followers) {
    await follower.shows(before.text, "timeout");
  }
  await expect
    .poll(async () => (await driver.state()).status, PATIENCE)
    .toBe("timeout");
  const { text, stepBack } = await driver.state();
  expect(stepBack).toBeNull();
  // What came over HTTP and was not saved yet stays.
  expect(text.startsWith(before.text)).toBe(true);
  expect(WHOLE.startsWith(text)).toBe(true);
  expect(await saved(streamId)).toEqual({ ...before, status: "timeout" });
  // It may have been killed between the claim and the writer's first step.
  expect(await runs(streamId)).toBeLessThanOrEqual(1);
}

/** Another stream in the same page is written and read as if nothing had been. */
async function worksAgain({ driver, followers }: Audience) {
  const streamId = await create();
  const url = writeUrl({ sentences: 6, delay: 1 });
  for (const reader of followers) {
    await reader.begins({ streamId, ...apart(url) });
  }
  await driver.begins({ streamId, url });
  for (const reader of [driver, ...followers]) {
    await reader.shows(story(6), "done");
  }
  expect(await runs(streamId)).toBe(1);
}

test("the chat says that the connection is lost, and recovers by itself", async () => {
  const model = await startModel({ tokensPerSecond: 40, firstTokenMs: 50 });
  const backend = await KilledDeployment.start(
    {
      functionsDir: folder("example/convex"),
      components: { persistentTextStreaming: folder("src/component") },
    },
    {
      OPENAI_API_KEY: "none-needed",
      OPENAI_BASE_URL: model.baseURL,
      OPENAI_MODEL: "demo",
    },
  );
  const vite = await serveChat(backend);
  const context = await browser.newContext();
  try {
    const chat = await Chat.open(await context.newPage(), vite.url);
    const banner = chat.page.getByText("Connection lost.");
    await chat.send("Tell me a long story");
    await chat.grows();
    await backend.kill();
    await banner.waitFor();
    expect(await chat.status()).toBe("streaming");
    const before = await chat.text();
    await backend.again();
    await banner.waitFor({ state: "detached" });
    expect((await chat.text()).slice(0, 50)).toBe(before.slice(0, 50));
    await backend.later(21);
    await chat.becomes("timeout");
    await chat.send("Hello");
    await expect.poll(() => chat.replies.count(), PATIENCE).toBe(2);
    await chat.becomes("done");
  } finally {
    await context.close();
    await vite.close();
    await backend.end();
    await model.close();
  }
});

test("before the first byte", async () => {
  const all = await audience({ hang: 0 });
  await expect.poll(() => runs(all.streamId), PATIENCE).toBe(1);
  await deployment.killAndStartAgain();
  expect(await all.driver.state()).toMatchObject({
    text: "",
    status: "pending",
  });
  await timesOut(all);
  await worksAgain(all);
});

test("in the middle of the text: the page shows what it has, knows that it is cut off, and recovers", async () => {
  const all = await audience();
  await all.driver.grows(600);
  for (const follower of all.followers) await follower.grows(1);
  await deployment.kill();
  await expect.poll(isConnected, PATIENCE).toBe(false);
  const cut = await Promise.all(
    [all.driver, ...all.followers].map((reader) => reader.state()),
  );
  for (const { text, status } of cut) {
    expect(status).toBe("streaming");
    expect(text.length).toBeGreaterThan(0);
  }
  await deployment.again();
  const { text } = await saved(all.streamId);
  // What anybody was shown of the database is still there.
  for (const shown of cut.slice(1)) {
    expect(text.startsWith(shown.text)).toBe(true);
  }
  await expect.poll(isConnected, PATIENCE).toBe(true);
  await timesOut(all);
  await worksAgain(all);
});

test("before the claim was committed: the page asks again, and one writer writes all of it", async () => {
  const streamId = await create();
  await deployment.control("faults", { commitDelayMs: 60_000 });
  const url = writeUrl({ sentences: SENTENCES, delay: 1 });
  const props = { url, streamId, incremental: true };
  const asked = page.waitForEvent("request", (request) =>
    request.url().startsWith(deployment.siteUrl),
  );
  const driver = await mount({ ...props, driven: true });
  const follower = await mount({ ...props, driven: false });
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
  await worksAgain(all);
});

test("while a mutation of the page is under way: it is done once", async () => {
  const before = (await deployment.documents("streams")).length;
  await deployment.control("faults", { commitDelayMs: 600 });
  const creations = [create(), create(), create()];
  // The first has been committed; its answer is on its way, or will be lost.
  await expect
    .poll(async () => (await deployment.documents("streams")).length, PATIENCE)
    .toBeGreaterThan(before);
  await deployment.killAndStartAgain();
  const ids = await Promise.all(creations);
  expect(new Set(ids).size).toBe(3);
  expect(await deployment.documents("streams")).toHaveLength(before + 3);
});

test("while a follower goes through the pages of a long text", async () => {
  // More than 8 MiB in UTF-8, of which a page has 4.
  const sentences = 230_000;
  const text = story(sentences);
  const streamId = await create();
  const url = writeUrl({ sentences, size: 2 ** 18 });
  const props = { url, streamId, incremental: true };
  const driver = await mount({ ...props, driven: true });
  await driver.shows(text, "done");
  // A page may be there before the kill is.
  for (let attempt = 0; attempt < 5; attempt++) {
    const follower = await mount({
      ...props,
      ...apart(url, attempt),
      driven: false,
    });
    await follower.grows(1);
    await deployment.kill();
    const { text: first, status } = await follower.state();
    await deployment.again();
    await follower.shows(text, "done");
    await follower.unmount();
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
  const props = { url, streamId, incremental: true };
  await deployment.control("faults", {
    refuseCommits: 1e9,
    only: "lib:packChunks",
  });
  const driver = await mount({ ...props, driven: true });
  await driver.shows(text, "done");
  const chunks = async () =>
    (await deployment.documents("chunks")).filter(
      (chunk) => chunk.streamId === streamId,
    ).length;
  const before = await chunks();
  const follower = await mount({ ...props, driven: false });
  await deployment.killAndStartAgain();
  // What was scheduled before is done after.
  await expect.poll(chunks, PATIENCE).toBe(Math.ceil(text.length / 2 ** 16));
  expect(before).toBeGreaterThan(Math.ceil(text.length / 2 ** 16));
  await follower.shows(text, "done");
  expect(await saved(streamId)).toEqual({ text, status: "done" });
});

test("again and again in one stream's life", async () => {
  const all = await audience();
  await all.driver.grows(300);
  for (let kill = 0; kill < 3; kill++) {
    await deployment.killAndStartAgain();
    // It is not yet time: a claimed stream has 2 minutes.
    await deployment.later(0.25);
    await expect.poll(isConnected, PATIENCE).toBe(true);
    expect((await saved(all.streamId)).status).toBe("streaming");
  }
  await timesOut(all);
  await deployment.killAndStartAgain();
  await worksAgain(all);
});

test("at any moment", async () => {
  const { KILL_RUNS = "2", KILL_SEED = "1" } = process.env;
  const seed = Number(KILL_SEED);
  for (let run = seed; run < seed + Number(KILL_RUNS); run++) {
    const random = randomFrom(run);
    const all = await audience({ delay: 1 + 4 * random() });
    await new Promise((resolve) => setTimeout(resolve, 2500 * random()));
    await deployment.killAndStartAgain();
    // In this order: what has not been claimed may be any time from here on.
    const streams = await deployment.documents("streams");
    const stream = streams.find(({ _id }) => _id === all.streamId);
    const isWritten = (await deployment.actions()) > 0;
    const { status } = await saved(all.streamId);
    try {
      // If it was killed before anybody had claimed it, it is asked for again.
      if (stream?.writer === undefined || isWritten || isFinal(status)) {
        for (const reader of [all.driver, ...all.followers]) {
          await reader.shows(WHOLE, "done");
        }
      } else await timesOut(all);
      await worksAgain(all);
    } catch (error) {
      throw new Error(`With KILL_SEED=${run} (KILL_RUNS=1)`, { cause: error });
    }
    await Promise.all(readers.splice(0).map((reader) => reader.unmount()));
  }
});
