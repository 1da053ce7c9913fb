/** The hook alone, in a real browser, with both builds of React, under StrictMode and not. */
import { fileURLToPath } from "node:url";
import type { Browser, Page } from "playwright-core";
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  test,
} from "vitest";
import type { StreamBody } from "../../src/shared.js";
import { story } from "../support/story.js";
import {
  startDeployment,
  type LocalDeployment,
} from "../local-deployment/deployment.js";
import { launchBrowser } from "./browser.js";
import { PATIENCE } from "./chatPage.js";
import { servePage, type ReactBuild } from "./hook/build.js";
import type { ReaderProps } from "../support/reader.js";
import { RemoteReader } from "./hook/remote.js";

const folder = (path: string) =>
  fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** Long enough for something to happen while it is written. */
const SENTENCES = 80;
const WHOLE = story(SENTENCES);

let deployment: LocalDeployment;
let browser: Browser;
beforeAll(async () => {
  [deployment, browser] = await Promise.all([
    startDeployment({
      functionsDir: folder("test/support/app"),
      components: { persistentTextStreaming: folder("src/component") },
      log: () => {},
    }),
    launchBrowser(),
  ]);
});
afterAll(async () => {
  await browser?.close();
  await deployment?.stop();
});

/** The URL of the HTTP action that writes a story as the options say. */
function writeUrl(options: Record<string, number> = {}): string {
  const search = new URLSearchParams(
    Object.entries(options).map(([name, value]) => [name, String(value)]),
  );
  return `${deployment.siteUrl}/write?${search}`;
}

const create = async () => (await deployment.call("chat:create")) as string;
const saved = async (streamId: string) =>
  (await deployment.call("chat:body", { streamId })) as StreamBody;
const requests = async (streamId: string) =>
  (await deployment.call("chat:requests", { streamId })) as {
    authorization: string;
    extra: string;
  }[];

const builds: ReactBuild[] = ["production", "development"];
describe.each(builds)("React's %s build", (reactBuild) => {
  let served: Awaited<ReturnType<typeof servePage>>;
  beforeAll(async () => {
    served = await servePage(reactBuild);
  });
  afterAll(() => served?.close());

  async function newPage(strict: boolean): Promise<Page> {
    // A context of its own: a browser opens only six connections to a host.
    const page = await (await browser.newContext()).newPage();
    const url = new URL(served.url);
    url.searchParams.set("deployment", deployment.url);
    if (strict) url.searchParams.set("strict", "");
    await page.goto(url.href);
    await page.waitForFunction(() => "lab" in window);
    return page;
  }

  describe.each([false, true])("StrictMode: %s", (strict) => {
    let page: Page;
    let streamId: string;
    beforeAll(async () => {
      page = await newPage(strict);
    });
    afterAll(() => page?.context().close());
    beforeEach(async () => {
      streamId = await create();
    });
    afterEach(async () => {
      await page.context().setOffline(false);
      await deployment.faults.siteOnline();
    });

    const mount = (props: Partial<ReaderProps> = {}) =>
      RemoteReader.mount(page, {
        url: writeUrl({ sentences: SENTENCES, delay: 2 }),
        driven: true,
        streamId,
        incremental: true,
        ...props,
      });

    async function inMidStream(props: Partial<ReaderProps> = {}) {
      const reader = await mount(props);
      await reader.grows();
      return reader;
    }

    describe("a driven stream", () => {
      test.each([false, true])(
        "arrives piece by piece over one request, with URL and headers written inline (incremental: %s)",
        async (incremental) => {
          const reader = await mount({
            incremental,
            authToken: "secret",
            headers: { "X-Extra": "more" },
          });
          await reader.shows(WHOLE, "done");
          expect(await requests(streamId)).toMatchObject([
            { authorization: "Bearer secret", extra: "more" },
          ]);
          const { steps, mounts } = await reader.state();
          expect(steps).toBeGreaterThan(5);
          // Proof of which React this is.
          const twice = strict && reactBuild === "development";
          expect(mounts).toBe(twice ? 2 : 1);
        },
      );
    });

    describe("the database has the last word", () => {
      test("when the site is offline; it is asked again when it is back", async () => {
        await deployment.faults.siteOffline();
        const [reader] = await Promise.all([
          mount(),
          page.waitForEvent("requestfailed"),
        ]);
        expect((await reader.state()).status).toBe("pending");
        await deployment.faults.siteOnline();
        await reader.shows(WHOLE, "done");
        expect(await requests(streamId)).toHaveLength(1);
      });

      test("when the browser goes offline in mid-stream and comes back", async () => {
        const reader = await inMidStream();
        await page.context().setOffline(true);
        // The emulation only refuses new connections, so existing ones are cut here.
        deployment.faults.cutConnections();
        deployment.faults.dropSockets();
        await expect
          .poll(async () => (await saved(streamId)).status, PATIENCE)
          .toBe("done");
        await page.context().setOffline(false);
        await reader.shows(WHOLE, "done");
      });
    });
  });
});
