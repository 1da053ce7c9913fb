// @vitest-environment jsdom
/**
 * `apps/v0.3` does what real apps of 0.3 do. It runs against the published package and
 * against this one, on separate local deployments. A table lists the expected result of
 * each pattern for both.
 */
import { join } from "node:path";
import { ConvexProvider, ConvexReactClient } from "convex/react";
import { anyApi } from "convex/server";
import { Fragment, StrictMode, type ReactNode } from "react";
import { createRoot } from "react-dom/client";
import { afterAll, beforeAll, inject, test, vi } from "vitest";
import { WebSocket } from "ws";
import {
  publishedPackage,
  startOldApp,
  type Body,
  type OldApp,
} from "./old-app.js";

type Page = (props: Record<string, unknown>) => ReactNode;

interface App extends OldApp {
  client: ConvexReactClient;
  pages: Record<string, Page>;
  /** The app's suite for `convex-test`. */
  suite: {
    chatTest: () => Promise<string>;
    titleTest: (runAllTimers: () => void) => Promise<string>;
  };
}

/** The app with the package in this folder. */
async function start(name: string, installed: string): Promise<App> {
  const app = await startOldApp(name, installed);
  const load = async <T,>(file: string) =>
    (await import(/* @vite-ignore */ join(app.folder, file))) as T;
  return {
    ...app,
    client: new ConvexReactClient(app.deployment.url, {
      // jsdom's own WebSocket does not work with Node's events.
      webSocketConstructor: WebSocket as never,
      logger: false,
    }),
    pages: await load<App["pages"]>("src/Patterns.tsx"),
    suite: await load<App["suite"]>("tests/chat.ts"),
  };
}

let apps: App[];
const fetched = vi.spyOn(globalThis, "fetch");
const warned = vi.spyOn(console, "warn");
beforeAll(async () => {
  for (const method of ["warn", "error", "log"] as const) {
    vi.spyOn(console, method).mockImplementation(() => {});
  }
  apps = [
    await start("before", publishedPackage),
    await start("after", inject("packed").folder),
  ];
});
afterAll(async () => {
  for (const { client, deployment } of apps) {
    await client.close();
    await deployment.stop();
  }
});

const isFinal = ({ status }: Body) =>
  ["done", "error", "timeout"].includes(status);

/** Longer than any page here takes that ends: the first token after 6 s, 4 s of silence from the database. */
const STUCK_MS = 13_000;

type Run = (app: App) => Promise<string>;

/** Shows a page until its stream has ended, or for `STUCK_MS`. Returns what it then shows, and what it asked for. */
const show =
  (
    page: string,
    props: Record<string, unknown> = {},
    Mode: typeof Fragment | typeof StrictMode = Fragment,
  ): Run =>
  async (app) => {
    const { client, deployment, pages } = app;
    const watched = vi.spyOn(client, "watchQuery");
    const real = await app.create();
    const { streamId } = { streamId: real, ...props };
    let last: (Body & { model?: string }) | undefined;
    let thrown: Error | undefined;
    const Page = pages[page]!;
    const root = createRoot(document.createElement("div"), {
      onUncaughtError: (error) => (thrown = error as Error),
    });
    root.render(
      <Mode>
        <ConvexProvider client={client}>
          <Page
            siteUrl={deployment.siteUrl}
            driven
            {...props}
            streamId={streamId}
            onBody={(body: Body) => (last = body)}
          />
        </ConvexProvider>
      </Mode>,
    );
    await vi
      .waitUntil(() => thrown ?? (last && (!streamId || isFinal(last))), {
        timeout: STUCK_MS,
      })
      .catch(() => {});
    // By the time this has answered, the effects have made their requests.
    await client.query(anyApi.patterns!.statusOf!, { streamId: real });
    root.unmount();
    if (thrown) return `throws ${/Error: (.*)/.exec(thrown.message)?.[1]}`;

    const { status, text, model } = last!;
    const requests = fetched.mock.calls.filter(
      ([url, init]) =>
        String(url as string).startsWith(`${deployment.siteUrl}/write`) &&
        streamIdIn(JSON.parse(init?.body as string)) === streamId,
    ).length;
    const asked =
      requests > 0 ||
      watched.mock.calls.some(([, args]) => streamIdIn(args) === streamId);
    const reports = warned.mock.calls.filter(([message]) =>
      String(message).includes(real),
    ).length;
    return [
      isFinal(last!) ? `${status}: ${text}` : status,
      ...(model ? [model] : []),
      ...(requests > 1 ? [`${requests} requests`] : []),
      ...(asked ? [] : ["nothing asked"]),
      ...(app === apps[1] && reports > 0 ? [`reported ${reports}x`] : []),
    ].join(", ");
  };

const streamIdIn = (args: unknown) =>
  (args as { streamId?: unknown } | undefined)?.streamId;

/** What a poller on `lib.getStreamText` reads. */
async function poll(app: App, streamId: string): Promise<string> {
  const body = (await app.call("poll", { streamId })) as unknown as Body;
  return `${body.status}: ${body.text}`;
}

/** Runs a background worker that writes with `lib`. */
const work = (app: App, streamId: string, ...tokens: string[]) =>
  app.call("work", { streamId, tokens }) as Promise<string>;

/** Posts, and reads the whole answer. Returns its status, and whether the app could add its headers. */
async function post(app: App, streamId: string): Promise<string> {
  const response = await app.post(streamId);
  const text = await response.text();
  // 0.3 gives it an empty text, which Node's `Response` refuses.
  if (text.includes("Invalid response status code 205")) return "205";
  return response.headers.has("Vary") || response.status === 500
    ? String(response.status)
    : `${response.status} without the app's headers`;
}

const throws = (promise: Promise<unknown>) =>
  promise.then(
    (value) => (value === null ? "nothing happens" : JSON.stringify(value)),
    ({ message }: Error) =>
      /Stream not found|not streaming|stream\(\) or generate\(\)|Expected ID/.exec(
        message,
      )?.[0] ?? message,
  );

/** Something that is done with a new stream that was prepared like this. */
const given =
  (prepare: (app: App, streamId: string) => unknown) =>
  (run: (app: App, streamId: string) => Promise<string>): Run =>
  async (app) => {
    const streamId = await app.create();
    await prepare(app, streamId);
    return run(app, streamId);
  };
const withStream = given(() => {});
const withWritten = given(post);
const withDeleted = given((app, streamId) => app.remove(streamId));

/** What a pattern leads to with 0.3.3, and with this package if that differs. */
type Row = [run: Run, published: string, ours?: string];

const text = "Hello, world. Bye.";
const refused = { query: "notSignedIn" };
const slow = { search: "?first=6000" };
const nothing = "pending, nothing asked";
const done = `done: ${text}`;
const reported = `${done}, reported 1x`;

const withoutId = ["", null, undefined].flatMap((streamId): [string, Row][] => [
  [`driven, with the id ${streamId}`, [show("Inline", { streamId }), nothing]],
  [
    `not driven, without a URL, with the id ${streamId}`,
    [show("Follower", { streamId }), nothing],
  ],
]);

const pages: Record<string, Row> = {
  ...Object.fromEntries(withoutId),
  "followed without a URL": [
    withWritten((app, streamId) => show("Follower", { streamId })(app)),
    done,
  ],
  "a query with further fields, and 0.3's `returns`": [
    withWritten((app, streamId) => show("WithModel", { streamId })(app)),
    `${done}, small`,
  ],
  driven: [show("Reply", { search: "?gap=100" }), done],
  "URL and headers written inline": [
    show("Inline", { search: "?gap=100" }),
    "streaming",
    done,
  ],
  StrictMode: [show("Reply", {}, StrictMode), "pending", done],
  "driven for one render": [
    show("DrivenForOneRender", { search: "?gap=50" }),
    done,
  ],
  "driven for one render, in StrictMode": [
    show("DrivenForOneRender", {}, StrictMode),
    "pending",
    done,
  ],
  "the driver's own query throws": [
    show("Reply", { ...refused, search: "?gap=600" }),
    done,
    reported,
  ],
  "the driver's own query throws, the first token comes after 6 s": [
    show("Reply", { ...refused, ...slow }),
    done,
    reported,
  ],
  "the driver's own query answers null": [
    show("Reply", { query: "notFound", ...slow }),
    done,
    reported,
  ],
  "a follower's query throws": [
    show("Reply", { ...refused, driven: false }),
    "throws Not signed in.",
  ],
  "the writer throws": [
    show("Reply", { search: "?failAt=Bye" }),
    "done: Hello, world. ",
    "error: Hello, world. ",
  ],
  "the writer sets `error` by itself": [
    show("Reply", { search: "?failed" }),
    done,
    `error: ${text}`,
  ],
};

const readBody = (app: App, streamId: string) => throws(app.body(streamId));
const readStatus = (app: App, streamId: string) =>
  throws(app.call("statusOf", { streamId }));
const gone = '{"status":"error","text":""}';

const backend: Record<string, Row> = {
  "a worker on `lib` claims, saves in batches and ends": [
    withStream(async (app, id) => {
      await work(app, id, "Hi", " there. ", "Good", "bye");
      return `${await poll(app, id)}; ${await work(app, id)}`;
    }),
    "done: Hi there. Goodbye; another writer has it",
  ],
  "a worker that fails saves the rest in its `finally`": [
    withStream(async (app, id) => {
      await work(app, id, "Hi. ", "Good", "fail").catch(() => {});
      return poll(app, id);
    }),
    "done: Hi. Good",
  ],
  "addChunk after a stop by setStreamStatus": [
    withStream(async (app, id) => {
      await app.add(id, "Aside. ");
      await app.end(id, "done");
      await app.end(id, "error");
      return `${await poll(app, id)}; ${await throws(app.add(id, "Aside. "))}`;
    }),
    "done: Aside. ; not streaming",
  ],
  "a POST for a stream that `lib` has begun": [
    withStream(async (app, id) => {
      await app.end(id, "streaming");
      return `${await post(app, id)}, ${await poll(app, id)}`;
    }),
    "205, streaming: ",
  ],
  "addChunk while stream() writes": [
    withStream(async (app, id) => {
      // Once its headers are here, stream() has started.
      const response = await app.post(id, "?first=2000");
      const added = await throws(app.add(id, "Aside. "));
      await response.text();
      return `${added}; ${await poll(app, id)}`;
    }),
    `nothing happens; done: Aside. ${text}`,
    `stream() or generate(); ${done}`,
  ],
  "create, write and delete in one mutation": [
    (app) => throws(app.call("inOneGo")),
    '"A"',
  ],
  "a second POST": [withWritten(post), "205"],
  "a suite that globs dist/component": [({ suite }) => suite.chatTest(), "A"],

  "getStreamBody of a deleted stream": [
    withDeleted(readBody),
    "Stream not found",
    gone,
  ],
  "getStreamBody of an unknown id": [
    (app) => readBody(app, "none"),
    "Expected ID",
    gone,
  ],
  "lib.getStreamStatus of a deleted stream": [
    withDeleted(readStatus),
    '"error"',
  ],
  "lib.getStreamStatus of an unknown id": [
    (app) => readStatus(app, "none"),
    "Expected ID",
    '"error"',
  ],
  "lib.getStreamText of a deleted stream": [
    withDeleted((app, id) => throws(poll(app, id))),
    "Stream not found",
  ],
  "lib.addChunk to a deleted stream": [
    withDeleted((app, id) => throws(app.add(id, "Aside. "))),
    "Stream not found",
  ],
  "a POST for a deleted stream": [withDeleted(post), "205", "404"],
  "a POST for an unknown id": [(app) => post(app, "none"), "500", "404"],
};

test("a suite that runs all timers, with a stream that has not started", async ({
  expect,
}) => {
  vi.useFakeTimers();
  for (const { suite } of apps) {
    const outcome = await suite.titleTest(() => vi.runAllTimers());
    expect(outcome).toBe(`pending, then 200: ${text}`);
  }
  vi.useRealTimers();
});

test.concurrent.for(Object.entries({ ...pages, ...backend }))(
  "%s",
  async ([, [run, published, ours = published]], { expect }) => {
    const outcomes = await Promise.all(apps.map(run));
    expect(outcomes).toEqual([published, ours]);
  },
);
