/** How the reader reacts to what HTTP answers, how React mounts, and what the database says. */
import { cleanup, waitFor } from "@testing-library/react";
import { ConvexClient } from "convex/browser";
import type { ConvexReactClient } from "convex/react";
import { createServer, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import {
  afterAll,
  afterEach,
  beforeAll,
  beforeEach,
  describe,
  expect,
  test,
  vi,
} from "vitest";
import { WebSocket } from "ws";
import {
  chat,
  deployment,
  collectLog,
  mount,
  newClient,
  writeUrl,
} from "../../test/support/hook.js";
import { story } from "../../test/support/story.js";
import { watchStream, type WatchStreamOptions } from "../browser/index.js";
import { retryWait } from "../browser/http-side.js";

type Answer = (response: ServerResponse, attempt: number) => void;

/** An HTTP server that answers each path as a test says, and records the requests. */
const requests: { path: string; authorization: string; body: unknown }[] = [];
const answers = new Map<string, Answer>();
const server = createServer((request, response) => {
  const path = (request.url ?? "").split("?")[0]!;
  let body = "";
  request.on("data", (data) => (body += String(data)));
  request.on("end", () => {
    const authorization = request.headers.authorization ?? "";
    requests.push({ path, authorization, body: JSON.parse(body) });
    answers.get(path)?.(response, asked(path).length);
  });
});
const asked = (path: string) => requests.filter((one) => one.path === path);

let client: ConvexReactClient;
let logged: string[];
let paths = 0;

/** A URL, with a secret in its query, with this answer. */
function answering(answer: Answer) {
  const path = `/${++paths}`;
  answers.set(path, answer);
  const { port } = server.address() as AddressInfo;
  return { path, url: `http://127.0.0.1:${port}${path}?key=hush` };
}

const text =
  (body: string, status = 200, headers = {}): Answer =>
  (response) =>
    response.writeHead(status, headers).end(body);

async function watch(options: Partial<WatchStreamOptions>, query = chat.body) {
  const streamId = await client.mutation(chat.create, {});
  const watching = watchStream(client, query, {
    streamId,
    driven: true,
    authToken: "hush",
    ...options,
  });
  open.push(watching);
  return { streamId, watching, now: () => watching.getSnapshot() };
}
const open: { close(): void }[] = [];

beforeAll(() => new Promise<void>((go) => server.listen(0, "127.0.0.1", go)));
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  client = newClient();
  logged = collectLog();
});
afterEach(async () => {
  cleanup();
  for (const one of open.splice(0)) one.close();
  vi.restoreAllMocks();
  await client.close();
});

/** Does something, and lets the time pass for which an unused reader is kept. */
function afterAWhile(act: () => void) {
  vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
  act();
  vi.advanceTimersByTime(6000);
  vi.useRealTimers();
}

describe("what HTTP answers", () => {
  const html = { "Content-Type": "text/html; charset=utf-8" };
  test.each([
    ["plain text", text("Hello.", 200, { "Content-Type": "text/plain" })],
    ["text without a type", text("Hello.")],
    ["events", text("Hello.", 200, { "Content-Type": "text/event-stream" })],
    ["our header", text("Hello.", 200, { ...html, "Stream-Offset": "0" })],
  ])("%s is the text", async (_, answer) => {
    const { url, path } = answering(answer);
    const { now } = await watch({ url });
    await waitFor(() => expect(now().text).toBe("Hello."));
    expect(asked(path)).toHaveLength(1);
    expect(logged).toEqual([]);
  });

  test.each([
    ["a login page", 200, html, ".convex.site"],
    ["JSON", 200, { "Content-Type": "application/json" }, ".convex.site"],
    ["401", 401, {}, "refused the token"],
    ["403", 403, html, "refused the token"],
    ["400", 400, {}, "path of the route"],
    ["404", 404, {}, "path of the route"],
  ])(
    "%s is refused and reported once, and is not text",
    async (_, status, headers, help) => {
      const { url, path } = answering(text("Please log in.", status, headers));
      const { now, streamId } = await watch({ url });
      await waitFor(() =>
        expect(now()).toMatchObject({ error: { kind: "Refused", status } }),
      );
      expect(now()).toMatchObject({ text: "", status: "pending" });
      expect(asked(path)).toHaveLength(1);
      expect(logged).toHaveLength(1);
      expect(logged[0]).toContain(`${path} answered ${status}`);
      expect(logged[0]).toContain(help);
      expect(logged[0]).not.toContain("hush");
      now().retry();
      await waitFor(() => expect(asked(path)).toHaveLength(2));
      expect(logged).toHaveLength(1);
      await drive(streamId);
      await waitFor(() => expect(now().text).toBe(story(3)));
    },
  );

  test.each([0, 408, 425, 429, 500, 502, 503])(
    "%i is asked again, when `Retry-After` says, and reported once",
    async (status) => {
      const times: number[] = [];
      const { url } = answering((response, attempt) => {
        times.push(performance.now());
        const busy = { "Retry-After": "1" };
        if (attempt === 3) text("Hello.")(response, attempt);
        // No answer at all.
        else if (status === 0) response.destroy();
        else text("busy", status, busy)(response, attempt);
      });
      const { now } = await watch({ url });
      await waitFor(() => expect(now().text).toBe("Hello."), {
        timeout: 20_000,
      });
      expect(times[1]! - times[0]!).toBeGreaterThan(990);
      const advice = status === 0 ? "OPTIONS" : "deployment's logs";
      expect(logged).toEqual([expect.stringContaining(advice)]);
      expect(logged[0]).not.toContain("hush");
    },
  );

  test.each([
    { head: 31_000, text: 0, requests: 2, said: ["within 30 s"] },
    { head: 0, text: 60_000, requests: 1, said: [] },
  ])(
    "no head within 30 s is no answer; no text is a model that thinks: %j",
    async (row) => {
      let write: () => void;
      const { url, path } = answering((response, attempt) => {
        write = () => void response.end("Hello.");
        if (attempt > 1) write();
        else if (row.head === 0) response.flushHeaders();
      });
      const fetched = vi.spyOn(globalThis, "fetch");
      vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
      const { now } = await watch({ url });
      await vi.waitFor(() => {
        expect(asked(path)).toHaveLength(1);
        const answered = fetched.mock.settledResults[0]?.type === "fulfilled";
        expect(answered).toBe(row.head === 0);
      }, 10_000);
      vi.advanceTimersByTime(row.head + row.text + 3000);
      vi.useRealTimers();
      if (row.requests === 1) write!();
      await waitFor(() => expect(now().text).toBe("Hello."));
      expect(asked(path)).toHaveLength(row.requests);
      expect(logged).toHaveLength(row.said.length);
      expect(logged.join()).toContain(row.said.join());
    },
  );

  test.each<[string, Answer, Partial<WatchStreamOptions>, string[]]>([
    ["204", text("", 204), {}, []],
    ["205", text("", 205), {}, []],
    [
      "a `fetch` that gives no body",
      text(""),
      { fetch: () => Promise.resolve(new Response(null)) },
      [],
    ],
    [
      "a `fetch` that never answers",
      text(""),
      { fetch: () => new Promise(() => {}) },
      [],
    ],
    // A token as it may be read from a file. Some platforms' errors quote it.
    [
      "a broken token",
      text(""),
      { authToken: "hush\nhush" },
      ["was not asked", "0"],
    ],
    // A header's value has one byte for each character.
    [
      "a broken header",
      text(""),
      { headers: { "X-Extra": "hush Łukasz" } },
      ["was not asked", "0"],
    ],
    ["no TextDecoder", text("Hello."), {}, ["polyfill"]],
  ])(
    "%s leaves the database, and is reported if it is a mistake",
    async (what, answer, options, [said, times]) => {
      if (what === "no TextDecoder") vi.stubGlobal("TextDecoder", undefined);
      const { url, path } = answering(answer);
      const { now, streamId } = await watch({ url, ...options });
      if (said) await waitFor(() => expect(logged).toHaveLength(1));
      vi.unstubAllGlobals();
      await drive(streamId);
      await waitFor(() => expect(now().status).toBe("done"));
      expect(now().text).toBe(story(3));
      expect(logged).toHaveLength(said ? 1 : 0);
      expect(logged.join()).toContain(said ?? "");
      expect(logged.join()).not.toContain("hush");
      if (times) expect(asked(path)).toHaveLength(Number(times));
    },
  );

  test.each(["online", "pageshow", "visibilitychange"])(
    "%s ends the wait",
    async (event) => {
      const { url, path } = answering((response, attempt) => {
        const later = { "Retry-After": "3600" };
        if (attempt < 2) text("busy", 503, later)(response, attempt);
        else text("Hello.")(response, attempt);
      });
      const { now } = await watch({ url });
      await waitFor(() => expect(asked(path)).toHaveLength(1));
      const target = event === "visibilitychange" ? document : window;
      await waitFor(() => {
        target.dispatchEvent(new Event(event));
        expect(now().text).toBe("Hello.");
      });
      expect(asked(path)).toHaveLength(2);
    },
  );

  test("20 minutes of errors make fewer than 60 requests, and waits differ", () => {
    for (const random of [0, 0.5, 1]) {
      let time = 0;
      let losses = 0;
      while (time < 20 * 60_000) {
        const wait = retryWait(++losses, random);
        expect(wait).toBeGreaterThanOrEqual(1000);
        expect(wait).toBeLessThanOrEqual(60_000);
        time += wait;
      }
      expect(losses).toBeLessThan(60);
    }
    expect(retryWait(3, 0)).not.toBe(retryWait(3, 1));
  });
});

describe("in development, it says", () => {
  test("that no one starts the stream", async () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const { now } = await watch({ driven: false });
    await vi.waitFor(() => expect(now().isLoading).toBe(false), {
      timeout: 10_000,
    });
    vi.advanceTimersByTime(10_000);
    vi.useRealTimers();
    expect(logged).toEqual([expect.stringContaining('`driven: "auto"`')]);
  });

  test("that an id is no stream's", async () => {
    const { now } = await watch({ streamId: "nonsense", driven: false });
    await waitFor(() => expect(now().status).toBe("error"));
    expect(logged).toEqual([expect.stringContaining("optimistic")]);
  });

  test.each([
    ["fails", chat.refused, "Elsewhere this error is thrown"],
    ["answers null", chat.missing, "before the message is found"],
  ])(
    "that the query %s while the text arrives over HTTP",
    async (_, query, help) => {
      const { url } = answering(text("Hello."));
      const { now } = await watch({ url }, query);
      await waitFor(() => expect(logged).toHaveLength(1));
      expect(logged[0]).toContain(help);
      expect(now().text).toBe("Hello.");
    },
  );

  test("that bytes are held back", async () => {
    const { url, path } = answering((response) => response.flushHeaders());
    const { now, streamId } = await watch({ url });
    await waitFor(() => expect(asked(path)).toHaveLength(1));
    const time = performance.now() + 3001;
    vi.spyOn(performance, "now").mockReturnValue(time);
    await drive(streamId);
    await waitFor(() => expect(now().text).toBe(story(3)));
    expect(logged).toEqual([
      expect.stringContaining("holds the response back"),
    ]);
  });
});

/** Has a stream written by another session. */
async function drive(streamId: string) {
  const response = await fetch(writeUrl({ sentences: 3 }), {
    method: "POST",
    body: JSON.stringify({ streamId }),
  });
  await response.text();
}

describe("a request that was refused is made again", () => {
  const guarded: Answer = (response, attempt) => {
    const { authorization } = requests.at(-1)!;
    if (authorization === "Bearer new") text("Hello.")(response, attempt);
    else text("", 401)(response, attempt);
  };

  test("when the token changes, and not before", async () => {
    const { url, path } = answering(guarded);
    const streamId = await client.mutation(chat.create, {});
    const props = { url: new URL(url), driven: true, streamId };
    const reader = mount(client, { ...props, authToken: "old" });
    await waitFor(() => expect(asked(path)).toHaveLength(1));
    reader.update({ headers: {} });
    reader.update({ authToken: "new" });
    await waitFor(() => expect(reader.history.last.text).toBe("Hello."));
    expect(asked(path)).toHaveLength(2);
  });

  test("when a function gives another token", async () => {
    const { url, path } = answering(guarded);
    let token = "old";
    const authToken = () => Promise.resolve(token);
    const { now } = await watch({ url, authToken });
    await waitFor(() => expect(asked(path)).toHaveLength(1));
    token = "new";
    await waitFor(() => expect(now().text).toBe("Hello."), { timeout: 5000 });
    expect(asked(path)).toHaveLength(2);
  });

  test("after a function has failed to give one", async () => {
    const { url, path } = answering(text("Hello."));
    const authToken = vi
      .fn<() => Promise<string>>()
      .mockRejectedValueOnce(new Error("hush"))
      .mockResolvedValue("new");
    const { now } = await watch({ url, authToken });
    await waitFor(() => expect(now().text).toBe("Hello."), { timeout: 5000 });
    expect(asked(path)).toMatchObject([{ authorization: "Bearer new" }]);
    expect(logged.join()).not.toContain("hush");
  });
});

describe("a stream is asked for", () => {
  /** Watches the stream with a client that knows nothing yet. */
  function onAnotherPage(
    streamId: string,
    url: string,
    driven: boolean | "auto",
  ) {
    const other = newClient();
    const reply = watchStream(other, chat.body, { streamId, url, driven });
    open.push(reply, { close: () => void other.close() });
    return reply;
  }

  test('by "auto" only if it has not begun', async () => {
    const { url, path } = answering((response) => {
      response.write("Hello.");
    });
    const first = await watch({ url, driven: "auto" });
    await waitFor(() => expect(first.now().text).toBe("Hello."));
    await drive(first.streamId);
    await waitFor(() => expect(first.now().status).toBe("done"));
    const later = onAnotherPage(first.streamId, url, "auto");
    await waitFor(() => expect(later.getSnapshot().status).toBe("done"));
    expect(asked(path)).toHaveLength(1);
  });

  test("by a page that was just loaded only if it has not ended", async () => {
    const { url, path } = answering(() => {});
    const streamId = await client.mutation(chat.create, {});
    await drive(streamId);
    const reply = onAnotherPage(streamId, url, true);
    await waitFor(() => expect(reply.getSnapshot().text).toBe(story(3)));
    expect(reply.getSnapshot().status).toBe("done");
    expect(asked(path)).toHaveLength(0);
  });

  test("by a page without a connection to the database", async () => {
    const { url } = answering(text("Hello."));
    const alone = new ConvexClient("http://127.0.0.1:1", {
      webSocketConstructor: WebSocket as never,
      unsavedChangesWarning: false,
    });
    const options = { streamId: "made over HTTP", url, driven: true };
    const reply = watchStream(alone, chat.body, options);
    await waitFor(() => expect(reply.getSnapshot().text).toBe("Hello."));
    reply.close();
    await alone.close();
  });

  test("with what the app adds to the query and the request", async () => {
    const { url, path } = answering(text("Hello."));
    const { now, streamId } = await watch(
      { url, args: { model: "large" }, body: { model: "large" } },
      chat.withModel,
    );
    await waitFor(() =>
      expect(now()).toMatchObject({ text: "Hello.", model: "large" }),
    );
    expect(asked(path)[0]!.body).toEqual({ streamId, model: "large" });
  });
});

test.each([true, false])(
  "the database is right where HTTP brings another text (incremental: %s)",
  async (incremental) => {
    const { url } = answering((response) => {
      response.write("Welcome to the hotel's network. ".repeat(80));
    });
    const query = incremental ? chat.page : chat.body;
    const { now, streamId } = await watch({ url, incremental }, query as never);
    await waitFor(() => expect(now().text).toContain("Welcome"));
    await drive(streamId);
    await waitFor(() => expect(now().text).toBe(story(3)), { timeout: 5000 });
    expect(now().status).toBe("done");
  },
);

describe("one reader", () => {
  test("for two components: one request, one subscription, one text", async () => {
    const streamId = await client.mutation(chat.create, {});
    const watched = vi.spyOn(client, "watchQuery");
    const props = { url: writeUrl({ sentences: 30, delay: 2 }), streamId };
    const readers = [true, false].map((driven) =>
      mount(client, { ...props, driven }),
    );
    await Promise.all(readers.map((reader) => reader.shows(story(30), "done")));
    const [one, two] = readers.map(({ history }) => history.last);
    expect(one).toBe(two);
    const all = await client.query(chat.requests, { streamId });
    expect(all).toHaveLength(1);
    expect(watched.mock.calls.length).toBeLessThan(8);
  });

  test("is still there for a component that remounts", async () => {
    const streamId = await client.mutation(chat.create, {});
    const url = writeUrl({ sentences: 40, delay: 3 });
    const props = { url, driven: true, streamId, incremental: true };
    const before = mount(client, props);
    const { history } = before;
    await waitFor(() => expect(history.last.text).not.toBe(""));
    before.unmount();
    await waitFor(async () => {
      const saved = await client.query(chat.body, { streamId });
      expect(saved.text.length).toBeGreaterThan(history.last.text.length);
    });
    const again = mount(client, props, { history });
    await again.shows(story(40), "done");
    const all = await client.query(chat.requests, { streamId });
    expect(all).toHaveLength(1);
  });

  test("hands its text on to one by another client", async () => {
    const streamId = await client.mutation(chat.create, {});
    const url = writeUrl({ sentences: 60, delay: 3 });
    const props = { url, driven: true, streamId, incremental: true };
    const reader = mount(client, props);
    await waitFor(() => expect(reader.history.last.text).not.toBe(""));
    const other = newClient();
    reader.update({}, other);
    await reader.shows(story(60), "done");
    cleanup();
    await other.close();
  });

  test.each([
    ["HTTP", text("Hello."), "Hello."],
    ["the database, while HTTP hangs", () => {}, story(3)],
  ])(
    "knows from %s that a stream has begun: a later mount does not ask",
    async (_, answer, first) => {
      const { url, path } = answering(answer);
      const { now, streamId, watching } = await watch({ url });
      await waitFor(() => expect(asked(path)).toHaveLength(1));
      if (first === story(3)) await drive(streamId);
      await waitFor(() => expect(now().text).toBe(first));
      afterAWhile(() => watching.close());
      await drive(streamId);
      const props = { url: new URL(url), driven: true, streamId };
      const later = mount(client, props);
      await waitFor(() => expect(later.history.last.text).toBe(story(3)));
      expect(asked(path)).toHaveLength(1);
    },
  );

  test("works with ConvexClient", async () => {
    const streamId = await client.mutation(chat.create, {});
    const plain = new ConvexClient(deployment.url, {
      webSocketConstructor: WebSocket as never,
      unsavedChangesWarning: false,
    });
    const follower = watchStream(plain, chat.page, {
      streamId,
      incremental: true,
    });
    const changed = vi.fn();
    const stop = follower.subscribe(changed);
    await drive(streamId);
    await waitFor(() => expect(follower.getSnapshot().status).toBe("done"));
    expect(follower.getSnapshot().text).toBe(story(3));
    expect(changed).toHaveBeenCalled();
    stop();
    const refused = watchStream(plain, chat.refused, { streamId });
    await waitFor(() =>
      expect(() => refused.getSnapshot()).toThrow("Not yours"),
    );
    follower.close();
    refused.close();
    await plain.close();
  });
});
