// @vitest-environment jsdom
/**
 * `apps/v0.3` does what real apps of 0.3 do. It runs against the published package and
 * against this one, on separate local deployments. A table lists the expected result of
 * each pattern for both.
 */
import { join } from "node:path";
import { ConvexProvider, ConvexReactClient } from "convex/react";
import { anyApi } from "convex/server";
import { StrictMode, type ReactNode } from "react";
import { createRoot } from "react-dom/client";
import { afterAll, beforeAll, inject, test, vi } from "vitest";
import { WebSocket } from "ws";
import {
  startDeployment,
  type LocalDeployment,
} from "../local-deployment/deployment.js";
import { installApp, publishedPackage } from "./fresh-app.js";

const { folder: unpacked } = inject("packed");

type Page = (props: Record<string, unknown>) => ReactNode;

interface App {
  deployment: LocalDeployment;
  client: ConvexReactClient;
  pages: Record<
    "Reply" | "Inline" | "DrivenForOneRender" | "Follower" | "WithModel",
    Page
  >;
  /** The app's suite for `convex-test`. */
  suite: {
    chatTest: () => Promise<string>;
    titleTest: (runAllTimers: () => void) => Promise<string>;
  };
  isOurs: boolean;
}

/** The app with the package in this folder. */
async function start(name: string, installed: string): Promise<App> {
  const { app, options } = installApp(name, installed);
  const deployment = await startDeployment(options);
  const load = async <T,>(file: string) =>
    (await import(/* @vite-ignore */ join(app, file))) as T;
  return {
    deployment,
    client: new ConvexReactClient(deployment.url, {
      // jsdom's own WebSocket does not work with Node's events.
      webSocketConstructor: WebSocket as never,
      logger: false,
    }),
    pages: await load<App["pages"]>("src/Patterns.tsx"),
    suite: await load<App["suite"]>("tests/chat.ts"),
    isOurs: installed === unpacked,
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
    await start("after", unpacked),
  ];
});
afterAll(async () => {
  for (const { client, deployment } of apps) {
    await client.close();
    await deployment.stop();
  }
});

interface Body {
  text: string;
  status: string;
  model?: string;
}
const isFinal = ({ status }: Body) =>
  ["done", "error", "timeout"].includes(status);

/** Longer than any page here takes that ends: the first token after 6 s, 4 s of silence from the database. */
const STUCK_MS = 13_000;

/** Shows a page until its stream has ended, or for `STUCK_MS`. Returns what it then shows, and what it asked for. */
async function show(
  app: App,
  page: keyof App["pages"],
  props: Record<string, unknown> = {},
  Mode: (props: { children: ReactNode }) => ReactNode = ({ children }) =>
    children,
): Promise<string> {
  const { client, deployment, pages } = app;
  const watched = vi.spyOn(client, "watchQuery");
  const real = await create(app);
  const { streamId } = { streamId: real, ...props };
  let last: Body | undefined;
  let thrown: Error | undefined;
  const Page = pages[page];
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
  await call(app, "query", "statusOf", { streamId: real });
  root.unmount();
  if (thrown)
    return `throws ${/Uncaught Error: (.*)/.exec(thrown.message)?.[1]}`;

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
    ...(app.isOurs && reports > 0 ? [`reported ${reports}x`] : []),
  ].join(", ");
}

const streamIdIn = (args: unknown) =>
  (args as { streamId?: unknown } | undefined)?.streamId;

function call(
  { client }: App,
  kind: "query" | "mutation" | "action",
  name: string,
  args: object,
): Promise<unknown> {
  const functions = client as unknown as Record<
    typeof kind,
    (reference: unknown, args: object) => Promise<unknown>
  >;
  return functions[kind](anyApi.patterns?.[name], args);
}

const create = (app: App) =>
  call(app, "mutation", "create", {}) as Promise<string>;
const add = (app: App, streamId: string) =>
  call(app, "mutation", "add", { streamId, text: "Aside. " });
const end = (app: App, streamId: string, status: string) =>
  call(app, "mutation", "end", { streamId, status });
const work = (app: App, streamId: string, ...tokens: string[]) =>
  call(app, "action", "work", { streamId, tokens }) as Promise<string>;
const statusOf = (app: App, streamId: string) =>
  call(app, "query", "statusOf", { streamId });

/** What a poller on `lib.getStreamText` reads. */
async function poll(app: App, streamId: string): Promise<string> {
  const { text, status } = (await call(app, "query", "poll", {
    streamId,
  })) as Body;
  return `${status}: ${text}`;
}

/** Posts to the HTTP action. */
const ask = ({ deployment }: App, streamId: string, search = "") =>
  fetch(`${deployment.siteUrl}/write${search}`, {
    method: "POST",
    body: JSON.stringify({ streamId }),
  });

/** Posts, and reads the whole answer. Returns its status, and whether the app could add its headers. */
async function post(app: App, streamId: string): Promise<string> {
  const response = await ask(app, streamId);
  const text = await response.text();
  // 0.3 gives it an empty text, which Node's `Response` refuses.
  if (text.includes("Invalid response status code 205")) return "205";
  return response.headers.has("Vary") || response.status === 500
    ? String(response.status)
    : `${response.status} without the app's headers`;
}

async function written(app: App): Promise<string> {
  const streamId = await create(app);
  await post(app, streamId);
  return streamId;
}

async function deleted(app: App): Promise<string> {
  const streamId = await create(app);
  await call(app, "mutation", "remove", { streamId });
  return streamId;
}

const text = "Hello, world. Bye.";
const throws = (promise: Promise<unknown>) =>
  promise.then(
    (value) => (value === null ? "nothing happens" : JSON.stringify(value)),
    (error: Error) =>
      /Stream not found|not streaming|stream\(\) or generate\(\)|Expected ID/.exec(
        error.message,
      )?.[0] ?? `${error.message.slice(0, 200)}`,
  );

type Row = [
  pattern: string,
  run: (app: App) => Promise<string>,
  published: string,
  /** If it differs. */
  ours?: string,
];
const nothing = "pending, nothing asked";

const page: Row[] = [
  ...["", null, undefined].flatMap((streamId): Row[] => [
    [
      `driven, with ${JSON.stringify(streamId)} for an id`,
      (app) => show(app, "Inline", { streamId }),
      nothing,
    ],
    [
      `not driven, without a URL, with ${JSON.stringify(streamId)} for an id`,
      (app) => show(app, "Follower", { streamId }),
      nothing,
    ],
  ]),
  [
    "followed without a URL",
    async (app) => show(app, "Follower", { streamId: await written(app) }),
    `done: ${text}`,
  ],
  [
    "a query with further fields, and 0.3's `returns`",
    async (app) => show(app, "WithModel", { streamId: await written(app) }),
    `done: ${text}, small`,
  ],
  [
    "driven",
    (app) => show(app, "Reply", { search: "?gap=100" }),
    `done: ${text}`,
  ],
  [
    "URL and headers written inline",
    (app) => show(app, "Inline", { search: "?gap=100" }),
    "streaming",
    `done: ${text}`,
  ],
  [
    "StrictMode",
    (app) => show(app, "Reply", {}, StrictMode),
    "pending",
    `done: ${text}`,
  ],
  [
    "driven for one render",
    (app) => show(app, "DrivenForOneRender", { search: "?gap=50" }),
    `done: ${text}`,
  ],
  [
    "driven for one render, in StrictMode",
    (app) => show(app, "DrivenForOneRender", {}, StrictMode),
    "pending",
    `done: ${text}`,
  ],
  [
    "the driver's own query throws",
    (app) => show(app, "Reply", { query: "notSignedIn", search: "?gap=600" }),
    `done: ${text}`,
    `done: ${text}, reported 1x`,
  ],
  [
    "the driver's own query throws, the first token comes after 6 s",
    (app) =>
      show(app, "Reply", { query: "notSignedIn", search: "?first=6000" }),
    `done: ${text}`,
    `done: ${text}, reported 1x`,
  ],
  [
    "the driver's own query answers null",
    (app) => show(app, "Reply", { query: "notFound", search: "?first=6000" }),
    `done: ${text}`,
    `done: ${text}, reported 1x`,
  ],
  [
    "a follower's query throws",
    (app) => show(app, "Reply", { query: "notSignedIn", driven: false }),
    "throws Not signed in.",
  ],
  [
    "the writer throws",
    (app) => show(app, "Reply", { search: "?failAt=Bye" }),
    "done: Hello, world. ",
    "error: Hello, world. ",
  ],
  [
    "the writer sets `error` by itself",
    (app) => show(app, "Reply", { search: "?failed" }),
    `done: ${text}`,
    `error: ${text}`,
  ],
];

const backend: Row[] = [
  [
    "a worker on `lib` claims, saves in batches and ends",
    async (app) => {
      const id = await create(app);
      await work(app, id, "Hi", " there. ", "Good", "bye");
      return `${await poll(app, id)}; ${await work(app, id)}`;
    },
    "done: Hi there. Goodbye; another writer has it",
  ],
  [
    "a worker that fails saves the rest in its `finally`",
    async (app) => {
      const id = await create(app);
      await work(app, id, "Hi. ", "Good", "fail").catch(() => {});
      return poll(app, id);
    },
    "done: Hi. Good",
  ],
  [
    "addChunk after a stop by setStreamStatus",
    async (app) => {
      const id = await create(app);
      await add(app, id);
      await end(app, id, "done");
      await end(app, id, "error");
      return `${await poll(app, id)}; ${await throws(add(app, id))}`;
    },
    "done: Aside. ; not streaming",
  ],
  [
    "a POST for a stream that `lib` has begun",
    async (app) => {
      const id = await create(app);
      await end(app, id, "streaming");
      return `${await post(app, id)}, ${await poll(app, id)}`;
    },
    "205, streaming: ",
  ],
  [
    "addChunk while stream() writes",
    async (app) => {
      const id = await create(app);
      // Once its headers are here, stream() has started.
      const response = await ask(app, id, "?first=2000");
      const added = await throws(add(app, id));
      await response.text();
      return `${added}; ${await poll(app, id)}`;
    },
    `nothing happens; done: Aside. ${text}`,
    `stream() or generate(); done: ${text}`,
  ],
  [
    "create, write and delete in one mutation",
    ({ deployment }) => throws(deployment.call("patterns:inOneGo")),
    '"A"',
  ],
  ["a second POST", async (app) => post(app, await written(app)), "205"],
  ["a suite that globs dist/component", ({ suite }) => suite.chatTest(), "A"],
];

const missing: Row[] = [
  [
    "getStreamBody of a deleted stream",
    async (app) =>
      throws(call(app, "query", "body", { streamId: await deleted(app) })),
    "Stream not found",
    '{"status":"error","text":""}',
  ],
  [
    "getStreamBody of an unknown id",
    (app) => throws(call(app, "query", "body", { streamId: "none" })),
    "Expected ID",
    '{"status":"error","text":""}',
  ],
  [
    "lib.getStreamStatus of a deleted stream",
    async (app) => throws(statusOf(app, await deleted(app))),
    '"error"',
  ],
  [
    "lib.getStreamStatus of an unknown id",
    (app) => throws(statusOf(app, "none")),
    "Expected ID",
    '"error"',
  ],
  [
    "lib.getStreamText of a deleted stream",
    async (app) => throws(poll(app, await deleted(app))),
    "Stream not found",
  ],
  [
    "lib.addChunk to a deleted stream",
    async (app) => throws(add(app, await deleted(app))),
    "Stream not found",
  ],
  [
    "a POST for a deleted stream",
    async (app) => post(app, await deleted(app)),
    "205",
    "404",
  ],
  ["a POST for an unknown id", (app) => post(app, "none"), "500", "404"],
];

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

test.concurrent.for([...page, ...backend, ...missing])(
  "%s",
  async ([, run, published, ours = published], { expect }) => {
    const outcomes = await Promise.all(apps.map(run));
    expect(outcomes).toEqual([published, ours]);
  },
);
