/** Every client with everything that happens to a stream, over real connections. */
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import path from "node:path";
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
import { Browsers, type Tab } from "./browsers.js";
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
import { servePages } from "./serve.js";

const PATIENCE = { timeout: 300_000, interval: 100 };
const SENTENCES = 60;
const WHOLE = story(SENTENCES);
const TOKENS = tokens(WHOLE);
/** The writer waits here until the event has happened in mid-stream. */
const GATE = Math.floor(TOKENS.length * 0.6);
const LONG_SENTENCES = 70_000;

const browsers = new Browsers();
/** Tabs are kept from one event to the next, because loading them takes time. */
const tabs = new Map<string, Promise<Tab>>();
let deployment: LocalDeployment;
let served: Awaited<ReturnType<typeof servePages>>;
let scratch: string;
beforeAll(prepare, 600_000);
beforeAll(async () => {
  [deployment, served, scratch] = await Promise.all([
    startDeployment({ functionsDir: "test/support/app", log: () => {} }),
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

/** The URL at which a stream is written, and how. */
function writeUrl(options: Record<string, number> = {}): string {
  const how = { sentences: SENTENCES, delay: 4, gate: GATE, ...options };
  const search = Object.entries(how).map(([name, n]) => [name, String(n)]);
  return `${deployment.siteUrl}/write?${new URLSearchParams(search)}`;
}
const resumeUrl = () => `${deployment.siteUrl}/write`;

const create = async () => (await deployment.call("chat:create")) as string;
const call = (name: string, streamId: string) =>
  deployment.call(`chat:${name}`, { streamId });
const saved = async (streamId: string) =>
  (await deployment.call("chat:page", { streamId, from: 0 })) as StreamPage;
const lib = (name: string, args: { streamId: string; status?: string }) =>
  deployment.call(`lib:${name}`, args, {
    component: "persistentTextStreaming",
  });

/** Waits until a condition holds. */
const until = (what: string, condition: () => boolean | Promise<boolean>) =>
  vi.waitFor(async () => {
    if (!(await condition())) throw new Error(`Still waiting for ${what}.`);
  }, PATIENCE);

/** A stream, and clients of one kind that read it. */
class Cell {
  readonly clients: Running[] = [];
  /** What each client has at the event, and in the end. */
  before: Seen[] = [];
  after: Seen[] = [];
  /** What is saved in the end, and how often a writer has started. */
  saved: StreamPage | undefined;
  runs: unknown;

  constructor(
    readonly kind: Kind,
    readonly streamId: string,
    /** How the stream is written. */
    private readonly options?: Record<string, number>,
    /** A tab that it shares with others. Default: its own. */
    private readonly tabName?: string,
  ) {}

  /** Starts a client, or starts it again. */
  async start(index: number, text = ""): Promise<void> {
    const place: Place = {
      deployment: deployment.url,
      streamId: this.streamId,
      writeUrl: writeUrl(this.options),
      resumeUrl: resumeUrl(),
      folder: await mkdtemp(path.join(scratch, "client-")),
      tab: (browser, page) => {
        const name = this.tabName ?? `${this.kind.name} ${index}`;
        const tab = tabs.get(name) ?? browsers.open(browser, served.url + page);
        tabs.set(name, tab);
        return tab;
      },
    };
    this.clients[index] = await this.kind.start(place, text);
  }

  async restart(): Promise<void> {
    for (const [index, client] of this.clients.entries()) {
      const { text } = await client.seen();
      await client.stop(true);
      await this.start(index, text);
    }
  }

  /** Starts the writer from a session without readers. */
  write(): void {
    const body = JSON.stringify({ streamId: this.streamId });
    fetch(writeUrl(this.options), { method: "POST", body })
      .then((response) => response.text())
      .catch(() => {
        // The connection was cut. The writer does not notice.
      });
  }

  /** Waits until the stream is deleted, or has ended with its writer's last words. */
  async ended(): Promise<void> {
    await until(`the end of ${this.kind.name}'s stream`, async () => {
      const tail = (await lib("tail", { streamId: this.streamId })) as {
        status: StreamStatus;
        draining: boolean;
      } | null;
      return tail === null || (isFinal(tail.status) && !tail.draining);
    });
  }

  /** What each client has as soon as it passes, or after a long time. */
  async seen(passes: (seen: Seen) => boolean): Promise<Seen[]> {
    return await Promise.all(
      this.clients.map(async (client) => {
        let seen: Seen = { text: "", status: "" };
        await until("the client", async () => {
          // A client may go on writing into what it returns.
          seen = { ...(await client.seen()) };
          return passes(seen);
        }).catch(() => {});
        return seen;
      }),
    );
  }
}

interface Event {
  name: string;
  /** What is written. Default: a text of 60 sentences. */
  whole?: string;
  /** How the stream is written. */
  options?: Record<string, number>;
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
    happens: forEach((cell) => cell.restart()),
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
    happens: forEach(({ streamId }) => call("stop", streamId)),
    // With the last words that were on their way to the database.
    end: ({ reads }, { text }) => ({
      text,
      status: reads === "bodies" ? "done" : "aborted",
    }),
  },
  {
    name: "sees the writer fail",
    options: { failAt: GATE + 20 },
    end: () => ({ text: TOKENS.slice(0, GATE + 20).join(""), status: "error" }),
  },
  {
    name: "sees the stream deleted",
    happens: forEach(({ streamId }) => call("remove", streamId)),
    end: ({ reads }) => ({
      atLeast: "",
      status: reads === "HTTP" ? "refused: 404" : "error",
    }),
  },
  { name: "runs twice", clients: 2 },
  {
    name: "reads 2 MB of all scripts",
    whole: story(LONG_SENTENCES),
    shared: true,
    options: { sentences: LONG_SENTENCES, size: 20_000, gate: 30 },
  },
  {
    name: "sees the backend restart, and with it the writer die",
    happens: async (cells) => {
      await deployment.down();
      await new Promise((resolve) => setTimeout(resolve, 500));
      await deployment.up();
      // As the cron does after 20 minutes. Two minutes later, the writer can no longer
      // save anything.
      await forEach(async ({ streamId }) => {
        await lib("setStreamStatus", { streamId, status: "timeout" });
        await lib("close", { streamId });
      })(cells);
    },
    // The driver keeps text that came over HTTP and was not saved when the writer died.
    end: ({ drives }, { text }) => ({
      [drives ? "atLeast" : "text"]: text,
      status: "timeout",
    }),
  },
];

/** Lets an event happen to a stream of each kind of client, and notes what each client has. */
async function play(event: Event): Promise<Cell[]> {
  const { join, clients = 1 } = event;
  const shared = event.shared ? create() : null;
  const cells = await Promise.all(
    kinds.map(async (kind) => {
      const streamId = await ((kind.drives ? null : shared) ?? create());
      return new Cell(kind, streamId, event.options);
    }),
  );
  const write = (cells: Cell[]) => {
    const streams = new Map(cells.map((cell) => [cell.streamId, cell]));
    for (const cell of streams.values()) cell.write();
  };
  const open = forEach(async (cell) => {
    for (let i = 0; i < clients; i++) await cell.start(i);
  });
  const finish = forEach(async (cell) => {
    await call("goOn", cell.streamId);
    await cell.ended();
  });
  if (join === undefined) {
    await open(cells);
    write(cells.filter(({ kind }) => !kind.drives));
  } else {
    write(cells);
    const third = WHOLE.length / 3;
    await forEach(({ streamId }) =>
      until(
        "the middle",
        async () => (await saved(streamId)).text.length > third,
      ),
    )(cells);
    if (join === "after the end") await finish(cells);
    await open(cells);
  }
  if (join !== "after the end") {
    await forEach(async (cell) => {
      cell.before = await cell.seen(({ text }) => text.length > 100);
    })(cells);
  }
  await event.happens?.(cells);
  await finish(cells);
  await forEach(async (cell) => {
    const { text } = (cell.saved = await saved(cell.streamId));
    cell.after = await cell.seen(
      (seen) =>
        !/pending|streaming/.test(seen.status) &&
        seen.text.length >= text.length,
    );
    for (const client of cell.clients) await client.stop();
    cell.runs = await call("runs", cell.streamId);
  })(cells);
  return cells;
}

describe.each(events)("a client that $name", (event) => {
  let cells: Cell[];
  beforeAll(async () => {
    cells = await play(event);
  });

  test.each(kinds)("$name", (kind) => {
    const cell = cells.find((cell) => cell.kind === kind)!;
    const { whole = WHOLE } = event;
    const { text, atLeast, status } = event.end?.(kind, cell.saved!) ?? {
      text: whole,
      status: "done",
    };
    for (const seen of cell.before) {
      expect(seen.text.length).toBeGreaterThan(100);
      expect(seen.status).toBe("streaming");
    }
    expect(cell.runs).toBe(1);
    expect(cell.after).toHaveLength(event.clients ?? 1);
    for (const [i, seen] of cell.after.entries()) {
      expect(seen.status).toBe(status);
      // Compared here, because `expect` would print 2 MB.
      expect(seen.text.length).toBe((text ?? seen.text).length);
      if (text !== undefined) expect(seen.text === text).toBe(true);
      else {
        expect(whole.startsWith(seen.text)).toBe(true);
        expect(seen.text.startsWith(atLeast ?? "")).toBe(true);
      }
      // Text that was shown stays.
      const shown = cell.before[i]?.text.length ?? 0;
      expect(seen.text.length).toBeGreaterThanOrEqual(shown);
      expect(seen.stepBack ?? null).toBeNull();
    }
  });
});

test.each(REACT_NATIVES)(
  "React Native %s: the hook shows what is saved within 1 s, readStream says once that it polls",
  async (version) => {
    const app = await startReactNative(version, false);
    const streamId = await create();
    const hook = app.show(deployment.url, streamId, writeUrl());
    const reading = new app.Reading(resumeUrl(), streamId);
    await until("text", async () => (await saved(streamId)).text !== "");
    const savedAt = performance.now();
    await until("text in the hook", () => hook.seen().text !== "");
    expect(performance.now() - savedAt).toBeLessThan(1000);
    await call("goOn", streamId);
    for (const client of [hook, reading]) {
      const whole = { text: WHOLE, status: "done" };
      await expect.poll(() => client.seen()).toMatchObject(whole);
    }
    hook.stop();
    expect(app.warnings).toEqual([expect.stringContaining("long-polls")]);
  },
);

test(
  "a reply that a page drives never waits for the connections of its followers",
  async () => {
    // A browser opens six connections to a host.
    const followers = Array<string>(6).fill("Chromium, readStream");
    const cells: Cell[] = [];
    for (const name of [...followers, "React 19, driven"]) {
      const kind = kinds.find((kind) => kind.name === name)!;
      const cell = new Cell(kind, await create(), {}, "crowded");
      cells.push(cell);
      if (!kind.drives) cell.write();
      await cell.start(0);
      // Without room for it, the driver would get a connection after a minute.
      const timeout = kind.drives ? 20_000 : 60_000;
      await vi.waitUntil(
        async () => (await cell.clients[0]!.seen()).text !== "",
        { timeout },
      );
    }
    // Only now may the followers' streams end.
    await forEach(({ streamId }) => call("goOn", streamId))(cells);
    await forEach(async (cell) => {
      const [seen] = await cell.seen(({ text }) => text === WHOLE);
      expect(seen?.text).toBe(WHOLE);
    })(cells);
  },
  PATIENCE.timeout,
);
