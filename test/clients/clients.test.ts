/** Every client with everything that happens to a stream, over real connections. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
import { fileURLToPath } from "node:url";
import { afterAll, beforeAll, describe, expect, test, vi } from "vitest";
import {
  type StreamPage,
  type StreamStatus,
  isFinal,
} from "../../src/shared.js";
import { story, tokens } from "../support/story.js";
import {
  startDeployment,
  type LocalDeployment,
} from "../local-deployment/deployment.js";
import { Browsers, type BrowserName, type Tab } from "./browsers.js";
import {
  kinds,
  prepare,
  REACT_NATIVES,
  type Kind,
  type Place,
  type Running,
  type Seen,
} from "./kinds.js";
import { startReactNative } from "./reactNative.js";
import type { Props } from "./page/desk.js";
import { servePages } from "./serve.js";

const folder = (path: string) =>
  fileURLToPath(new URL(`../../${path}`, import.meta.url));

const PATIENCE = { timeout: 60_000, interval: 100 };
const SENTENCES = 60;
const WHOLE = story(SENTENCES);
const TOKENS = tokens(WHOLE).length;
/** The writer waits here until the event has happened in mid-stream. */
const GATE = Math.floor(TOKENS * 0.6);

const browsers = new Browsers();
const LONG_SENTENCES = 70_000;
const LONG = story(LONG_SENTENCES);

let deployment: LocalDeployment;
let served: Awaited<ReturnType<typeof servePages>>;
let scratch: string;
beforeAll(prepare, 600_000);
beforeAll(async () => {
  [deployment, served, scratch] = await Promise.all([
    startDeployment({
      functionsDir: folder("test/support/app"),
      components: { persistentTextStreaming: folder("src/component") },
      log: () => {},
    }),
    servePages(),
    mkdtemp(path.join(tmpdir(), "clients-")),
  ]);
});
afterAll(async () => {
  await browsers.close();
  await served?.close();
  await deployment?.stop();
  await rm(scratch, { recursive: true, force: true });
});

const inComponent = { component: "persistentTextStreaming" };

type Options = Record<string, number | string>;

function writeUrl(options: Options): string {
  const search = new URLSearchParams(
    Object.entries({ sentences: SENTENCES, delay: 4, ...options }).map(
      ([name, value]) => [name, String(value)],
    ),
  );
  return `${deployment.siteUrl}/write?${search}`;
}

const resumeUrl = () => `${deployment.siteUrl}/resume`;
const create = async () => (await deployment.call("chat:create")) as string;
const saved = async (streamId: string) =>
  (await deployment.call("chat:page", { streamId, from: 0 })) as StreamPage;

/** Starts the writer of a stream from a session without readers. */
function startWriter(streamId: string, url: string): void {
  fetch(url, { method: "POST", body: JSON.stringify({ streamId }) })
    .then((response) => response.text())
    .catch(() => {
      // The connection was cut. The writer does not notice.
    });
}

/** Tabs are kept from one event to the next, because loading them takes time. */
const tabs = new Map<string, Promise<Tab>>();
function keptTab(
  owner: string,
  browser: BrowserName,
  page: string,
): Promise<Tab> {
  const tab = tabs.get(owner) ?? browsers.open(browser, served.url + page);
  tabs.set(owner, tab);
  return tab;
}

/** A client that can be restarted. */
class Client {
  private constructor(
    private readonly kind: Kind,
    private readonly place: Place,
    private running: Running,
  ) {}

  static async start(kind: Kind, place: Place): Promise<Client> {
    return new Client(kind, place, await kind.start(place, ""));
  }

  seen(): Seen | Promise<Seen> {
    return this.running.seen();
  }

  async restart(): Promise<void> {
    const { text } = await this.seen();
    await this.running.stop(true);
    this.running = await this.kind.start(this.place, text);
  }

  async close(): Promise<void> {
    await this.running.stop();
  }
}

/** A stream and its readers. */
interface Cell {
  kind: Kind;
  streamId: string;
  clients: Client[];
}

interface Event {
  name: string;
  /** What is written. Default: a text of 60 sentences. */
  whole?: string;
  /** How the stream is written. */
  options?: Options;
  /** When the clients come (default: at once), and how many (default: one). */
  join?: "in the middle" | "after the end";
  clients?: number;
  /** Whether all followers read one stream. */
  shared?: boolean;
  happens?: (cells: Cell[]) => unknown;
  /** The expected text and status. Default: all of the text, and `done`. */
  end?: (
    kind: Kind,
    saved: StreamPage,
  ) => { text?: string; atLeast?: string; status: string };
}

const forEach = (work: (cell: Cell) => unknown) => (cells: Cell[]) =>
  Promise.all(cells.map(work));

const events: Event[] = [
  {
    name: "is restarted in mid-stream",
    happens: forEach(({ clients }) =>
      Promise.all(clients.map((client) => client.restart())),
    ),
  },
  {
    name: "is cut off in mid-stream",
    happens: () => {
      deployment.faults.cutConnections();
      deployment.faults.dropSockets();
    },
  },
  {
    name: "finds the site offline for 2 s",
    happens: async () => {
      await deployment.faults.siteOffline();
      // The writer does not notice, and ends in the meantime.
      setTimeout(() => void deployment.faults.siteOnline(), 2000);
    },
  },
  { name: "joins in the middle", join: "in the middle" },
  { name: "joins after the end", join: "after the end" },
  {
    name: "sees the stream stopped",
    happens: forEach(({ streamId }) =>
      deployment.call("chat:stop", { streamId }),
    ),
    // With the last words that were on their way to the database.
    end: ({ stopped }, { text }) => ({ text, status: stopped }),
  },
  {
    name: "sees the writer fail",
    options: { failAt: GATE + 20 },
    end: () => ({
      text: tokens(WHOLE)
        .slice(0, GATE + 20)
        .join(""),
      status: "error",
    }),
  },
  {
    name: "sees the stream deleted",
    happens: forEach(({ streamId }) =>
      deployment.call("chat:remove", { streamId }),
    ),
    end: ({ deleted }) => ({ atLeast: "", status: deleted }),
  },
  { name: "runs twice", clients: 2 },
  {
    name: "reads 2 MB of all scripts",
    whole: LONG,
    shared: true,
    options: { sentences: LONG_SENTENCES, size: 20_000, gate: 30 },
  },
  {
    name: "sees the backend restart, and with it the writer die",
    happens: async (cells) => {
      await deployment.restart({ downMs: 500 });
      // As the cron does after 20 minutes. Two minutes later, the writer can no longer
      // save anything.
      await forEach(async ({ streamId }) => {
        const status = "timeout";
        await deployment.call(
          "lib:setStreamStatus",
          { streamId, status },
          inComponent,
        );
        await deployment.call("lib:close", { streamId }, inComponent);
      })(cells);
    },
    // The driver keeps text that came over HTTP and was not saved when the writer died.
    end: ({ drives }, { text }) =>
      drives
        ? { atLeast: text, status: "timeout" }
        : { text, status: "timeout" },
  },
];

/** Waits until a condition holds. */
async function until(
  what: string,
  condition: () => Promise<boolean>,
): Promise<void> {
  await vi.waitFor(async () => {
    if (!(await condition())) throw new Error(`Still waiting for ${what}`);
  }, PATIENCE);
}

/** Lets an event happen to a stream of each kind of client, and returns what each client has in the end. */
async function play(event: Event): Promise<Map<Kind, Outcome>> {
  const { options = {}, join, clients: count = 1 } = event;
  const url = writeUrl({ gate: GATE, ...options });
  const shared = event.shared ? create() : null;
  const cells: Cell[] = await Promise.all(
    kinds.map(async (kind) => ({
      kind,
      streamId: await ((kind.drives ? null : shared) ?? create()),
      clients: [],
    })),
  );
  const startWriters = (isMissing: (cell: Cell) => boolean) => {
    const missing = cells.filter(isMissing).map(({ streamId }) => streamId);
    for (const streamId of new Set(missing)) startWriter(streamId, url);
  };
  const open = forEach(async ({ kind, streamId, clients }) => {
    for (let i = 0; i < count; i++) {
      const owner = `${kind.name} ${i}`;
      const client = await Client.start(kind, {
        deployment: deployment.url,
        streamId,
        writeUrl: url,
        resumeUrl: resumeUrl(),
        folder: await mkdtemp(path.join(scratch, "client-")),
        tab: (browser, page) => keptTab(owner, browser, page),
      });
      clients.push(client);
    }
  });
  const goOn = forEach(({ streamId }) =>
    deployment.call("chat:goOn", { streamId }),
  );
  const written = forEach(({ streamId, kind }) =>
    until(`the end of the writer for ${kind.name}`, async () => {
      const tail = (await deployment.call(
        "lib:tail",
        { streamId },
        inComponent,
      )) as {
        status: StreamStatus;
        draining: boolean;
      } | null;
      // Deleted, or ended with its writer's last words.
      return tail === null || (isFinal(tail.status) && !tail.draining);
    }),
  );
  if (join === undefined) {
    await open(cells);
    startWriters(({ kind }) => !kind.drives);
  } else {
    startWriters(() => true);
    await forEach(({ streamId }) =>
      until(
        "the middle",
        async () => (await saved(streamId)).text.length > WHOLE.length / 3,
      ),
    )(cells);
    if (join === "after the end") {
      await goOn(cells);
      await written(cells);
    }
    await open(cells);
  }
  const outcomes = await Promise.all(
    cells.map((cell) => inMidStream(cell, join === "after the end")),
  );
  await event.happens?.(cells);
  await goOn(cells);
  await written(cells);
  return new Map(
    await Promise.all(
      cells.map(async (cell, i) => {
        const before = outcomes[i]!;
        return [cell.kind, await outcomeOf(cell, before)] as const;
      }),
    ),
  );
}

interface Outcome {
  saved: StreamPage;
  /** How often a writer has started. */
  runs: unknown;
  /** What each client had at the event, and in the end. */
  before: Seen[];
  after: Seen[];
}

/** Waits until each client of a stream has some text. */
async function inMidStream(
  { clients, kind }: Cell,
  ended: boolean,
): Promise<Seen[]> {
  if (ended) return [];
  return await Promise.all(
    clients.map(async (client) => {
      let now: Seen = { text: "", status: "" };
      await until(`text for ${kind.name}`, async () => {
        now = await client.seen();
        return now.text.length > 100;
      });
      expect(now.status, kind.name).toBe("streaming");
      return { ...now };
    }),
  );
}

/** Waits until each client of a stream has all the text and the final status. */
async function outcomeOf(cell: Cell, before: Seen[]): Promise<Outcome> {
  const { streamId, clients } = cell;
  const body = await saved(streamId);
  const after = await Promise.all(
    clients.map(async (client) => {
      let now: Seen = { text: "", status: "" };
      // If this fails, the assertions on `after` show what the client has.
      await until("the end", async () => {
        now = await client.seen();
        const knows = !/pending|streaming/.test(now.status);
        return knows && now.text.length >= body.text.length;
      }).catch(() => {});
      await client.close();
      return { ...now };
    }),
  );
  const runs = await deployment.call("chat:runs", { streamId });
  return { saved: body, runs, before, after };
}

describe.each(named(events))("a client that %s", (_, event) => {
  let outcomes: Map<Kind, Outcome>;
  beforeAll(async () => {
    outcomes = await play(event);
  });

  test.each(named(kinds))("%s", (_, kind) => {
    const { saved, runs, before, after } = outcomes.get(kind)!;
    const { whole = WHOLE } = event;
    const { text, atLeast, status } = event.end?.(kind, saved) ?? {
      text: whole,
      status: "done",
    };
    expect(runs).toBe(1);
    expect(after).toHaveLength(event.clients ?? 1);
    for (const [i, seen] of after.entries()) {
      expect(seen.status).toBe(status);
      // Compared here, because `expect` would print 2 MB.
      expect(seen.text.length).toBe((text ?? seen.text).length);
      if (text !== undefined) expect(seen.text === text).toBe(true);
      else {
        expect(whole.startsWith(seen.text)).toBe(true);
        expect(seen.text.startsWith(atLeast ?? "")).toBe(true);
      }
      // Text that was shown stays.
      expect(seen.text.length).toBeGreaterThanOrEqual(
        before[i]?.text.length ?? 0,
      );
      expect(seen.stepBack ?? null).toBeNull();
    }
  });
});

function named<T extends { name: string }>(all: readonly T[]): [string, T][] {
  return all.map((one) => [one.name, one]);
}

test.each(REACT_NATIVES)(
  "React Native %s: the hook shows what is saved within 1 s, readStream says once that it polls",
  async (version) => {
    const app = await startReactNative(version, false);
    const streamId = await create();
    const place = {
      deployment: deployment.url,
      writeUrl: writeUrl({ gate: GATE }),
      streamId,
    };
    const hook = new app.Shown(place);
    const reading = new app.Reading(resumeUrl(), streamId);
    let savedAt: number | undefined;
    await until("text in the hook", async () => {
      if ((await saved(streamId)).text !== "") savedAt ??= performance.now();
      return hook.seen().text !== "";
    });
    const late = performance.now() - (savedAt ?? performance.now());
    expect(late).toBeLessThan(1000);
    await deployment.call("chat:goOn", { streamId });
    for (const client of [hook, reading]) {
      await expect.poll(() => client.seen().text).toBe(WHOLE);
      await expect.poll(() => client.seen().status).toBe("done");
    }
    await hook.stop();
    expect(app.warnings).toEqual([expect.stringContaining("long-polls")]);
  },
);

test("a reply that a page drives never waits for the connections of its followers", async () => {
  const tab = await keptTab("crowded", "chromium", "react");
  const start = async (client: string, props: Partial<Props> = {}) => {
    const streamId = await create();
    const url = writeUrl({ gate: GATE });
    if (!props.driven) startWriter(streamId, url);
    const index = await tab.run(
      ({ client, all }) => window.desk.start(client, all),
      {
        client,
        all: {
          deployment: deployment.url,
          resumeUrl: resumeUrl(),
          writeUrl: url,
          streamId,
          text: "",
          ...props,
        },
      },
    );
    return {
      streamId,
      seen: () => tab.run((i) => window.desk.seen(i), index),
    };
  };
  // A browser opens six connections to a host.
  const followers = await Promise.all(
    Array.from({ length: 6 }, () => start("read")),
  );
  for (const { seen } of followers) {
    await expect.poll(async () => (await seen()).text).not.toBe("");
  }
  const driver = await start("hook", { driven: true, incremental: true });
  await expect
    .poll(async () => (await driver.seen()).text, { timeout: 5000 })
    .not.toBe("");
  for (const { streamId, seen } of [driver, ...followers]) {
    await deployment.call("chat:goOn", { streamId });
    await expect.poll(async () => (await seen()).text).toBe(WHOLE);
  }
});
