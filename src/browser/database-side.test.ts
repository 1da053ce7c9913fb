import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { pass, useClock } from "../../test/support/clock.js";
import { SwitchingComponent } from "../../test/support/switching.js";
import { createDatabaseSide, type QueryResult } from "./database-side.js";
import { readStream } from "./index.js";
import { createPrefix } from "./prefix.js";
import type { Source, Watcher } from "./stream-reader.js";
import {
  addWatcher,
  readerFor,
  removeWatcher,
  watchStream,
  type StreamWatch,
} from "./watch-stream.js";

useClock();
// A frame that still waits would be lost with the test's clock.
afterEach(() => pass(200));

/** A query that answers what it is told to. */
function queryOf(answer: (args: Record<string, unknown>) => unknown) {
  const listeners = new Set<() => void>();
  return {
    open: () => listeners.size,
    tell: () => {
      for (const listener of [...listeners]) listener();
    },
    watch: (args: Record<string, unknown>) => ({
      localQueryResult: () => answer(args),
      onUpdate(listener: () => void) {
        listeners.add(listener);
        return () => listeners.delete(listener);
      },
    }),
  };
}

const page = (text: string, next: number): QueryResult => ({
  ...{ text, from: 0, next, status: "streaming", claimed: true },
});

test("a reader on the next page, or with a query that throws, has had an answer: HTTP's end is not the stream's", () => {
  let answer = () => page("One.", 4);
  const query = queryOf(() => answer());
  const prefix = createPrefix();
  const database = createDatabaseSide(
    "stream",
    { watch: query.watch, incremental: true },
    prefix,
    () => {},
  );
  database.open();
  expect(database.answer).toEqual(page("One.", 4));
  database.open();
  answer = () => {
    throw new Error("The query failed.");
  };
  query.tell();
  expect(database.failure).not.toBeNull();
  expect(database.answer).toEqual(page("One.", 4));
});

test("what an earlier reader knew of the end does not complete a new one: last words may follow", () => {
  const prefix = createPrefix({ text: "", start: null, status: "done" });
  const query = queryOf(() => page("", 0));
  const database = createDatabaseSide(
    "stream",
    { watch: query.watch, incremental: true },
    prefix,
    () => {},
  );
  expect(database.isComplete()).toBe(false);
  // A part of a text reads as streaming, also when the stream has ended.
  database.take({ ...page("One.", 4), claimed: false });
  expect(database.isComplete()).toBe(false);
  database.take({ text: "", from: 4, status: "done", claimed: false });
  expect(database.isComplete()).toBe(true);
});

test("more is saved between two answers than a tail brings: it is requested, not skipped", () => {
  const whole = "x".repeat(50) + "y".repeat(50);
  const prefix = createPrefix({
    ...{ text: whole.slice(10, 20), start: 10, status: "streaming" },
  });
  const query = queryOf(({ from, tail }) => {
    const start = (from as number | undefined) ?? 100 - (tail as number);
    const text = whole.slice(start);
    return { text, status: "done", from: start, next: 100 };
  });
  const database = createDatabaseSide(
    "stream",
    { watch: query.watch, incremental: true, tail: 10 },
    prefix,
    () => {},
  );
  database.open();
  database.open();
  expect(prefix).toMatchObject({ status: "done", text: whole.slice(10) });
});

test("a hook that drove one stream does not drive the next because of that", async () => {
  const fetch = vi.fn(() => Promise.resolve(new Response("Hi.")));
  const source = (streamId: string, driven: boolean): Source => ({
    ...{ query: "chat:body", streamId, driven, fetch },
    url: "https://app.test/chat",
  });
  const client = {};
  const unanswered = (() => ({
    localQueryResult: () => undefined,
    onUpdate: () => () => {},
  })) as never;
  const watcher: Watcher = { source: source("a", true), onChange: () => {} };
  addWatcher(readerFor(client, unanswered, watcher.source!), watcher);
  await pass(20);
  expect(fetch).toHaveBeenCalledTimes(1);
  removeWatcher(watcher);
  // As in React: the next reader's effect runs before that of its options.
  const next = source("b", false);
  addWatcher(readerFor(client, unanswered, next, watcher.reader), watcher);
  watcher.source = next;
  watcher.reader!.update(watcher);
  await pass(20);
  expect(fetch).toHaveBeenCalledTimes(1);
  removeWatcher(watcher);
});

test("a refused reader that was closed asks again when it is back: a function may have another token", async () => {
  const fetch = vi.fn(() =>
    Promise.resolve(new Response(null, { status: 401 })),
  );
  const source: Source = {
    ...{ query: "chat:body", streamId: "a", driven: true, fetch },
    url: "https://app.test/chat",
    authToken: () => "old",
  };
  const unanswered = (() => ({
    localQueryResult: () => undefined,
    onUpdate: () => () => {},
  })) as never;
  vi.spyOn(console, "error").mockImplementation(() => {});
  const watcher: Watcher = { source, onChange: () => {} };
  const reader = readerFor({}, unanswered, source);
  addWatcher(reader, watcher);
  await pass(200);
  expect(reader.view.snapshot.error).toMatchObject({ status: 401 });
  removeWatcher(watcher);
  reader.close();
  addWatcher(reader, watcher);
  await pass(20);
  expect(fetch).toHaveBeenCalledTimes(2);
  removeWatcher(watcher);
  reader.close();
});

describe("text over HTTP and from the database", () => {
  let answer: unknown;
  const query = queryOf(() => answer);
  const say = (text: string) => {
    answer = { text, status: "streaming" };
    query.tell();
  };
  const client = {
    connectionState: () => ({ hasEverConnected: true }),
    watchQuery: (_: never, args: never) => query.watch(args),
  } as unknown as Parameters<typeof watchStream>[0];
  let stream: ReadableStream<Uint8Array>;
  let body: ReadableStreamDefaultController<Uint8Array>;
  const write = async (text: string) => {
    body.enqueue(new TextEncoder().encode(text));
    await pass(50);
  };
  let watched: StreamWatch[];
  const watch = (streamId: string, driven = true) => {
    const watching = watchStream(client, "chat:body", {
      ...{ streamId, url: "https://app.test/chat", driven },
      fetch: () => Promise.resolve(new Response(stream)),
    });
    watched.push(watching);
    return watching;
  };
  const shown = (watching: StreamWatch) => watching.getSnapshot();
  beforeEach(() => {
    answer = undefined;
    watched = [];
    stream = new ReadableStream({
      start: (controller) => void (body = controller),
    });
  });
  afterEach(async () => {
    for (const watching of watched) watching.close();
    await pass(10_000);
    expect(query.open()).toBe(0);
  });

  test("that differ while it flows: the database is read at once, and is right", async () => {
    const watching = watch("differs");
    await pass(50);
    say("Hello *** and");
    await write("Hello ");
    await write("bob and");
    await pass(200);
    expect(query.open()).toBe(1);
    say("Hello *** and more");
    await pass(200);
    expect(shown(watching).text).toBe("Hello *** and more");
  });

  test("a reader that is shown again while text flows keeps no subscription", async () => {
    const first = watch("again");
    await pass(50);
    first.close();
    await write("Hello ");
    const again = watch("again");
    await write("world");
    await pass(200);
    expect(shown(again).text).toBe("Hello world");
    expect(query.open()).toBe(0);
  });

  test("a stream is not taken as done before the database has had time to answer, even if no one watched when HTTP ended", async () => {
    const first = watch("early");
    await pass(50);
    await write("Hello ");
    first.close();
    await pass(100);
    body.close();
    await pass(300);
    say("Hello ");
    // A subscription that opens later is not answered in time.
    answer = undefined;
    await pass(3600);
    const again = watch("early");
    await pass(600);
    expect(shown(again).status).toBe("streaming");
  });

  test("a listener that throws does not stop other readers from showing their text", async () => {
    const [one, two] = [watch("one", false), watch("two", false)];
    await pass(50);
    one.subscribe(() => {
      throw new Error("The app failed.");
    });
    say("Hello");
    await expect(pass(200)).rejects.toThrow("The app failed.");
    await pass(200);
    expect([shown(one).text, shown(two).text]).toEqual(["Hello", "Hello"]);
  });
});

describe("a component that switches to another query and back", () => {
  /** What each of the two queries answers. */
  const answers: Record<"pages" | "whole", unknown> = {
    pages: undefined,
    whole: undefined,
  };
  const query = queryOf(({ from }) => {
    const answer = from === undefined ? answers.whole : answers.pages;
    if (answer instanceof Error) throw answer;
    return answer;
  });
  const whole = (text: string, status = "streaming") => ({ text, status });
  const source: Source = {
    ...{ query: "chat:body", streamId: "stream", url: null, driven: false },
    incremental: true,
  };
  const overHttp: Partial<Source> = {
    ...{ url: "https://app.test/chat", driven: true },
    fetch: () => Promise.resolve(new Response("One.")),
  };
  let client: SwitchingComponent["client"];
  let component: SwitchingComponent;
  const mount = (changes: Partial<Source> = {}) =>
    new SwitchingComponent(client, { ...source, ...changes });
  const thereAndBack = () => {
    component.update({ incremental: false });
    component.update({ incremental: true });
  };
  beforeEach(() => {
    client = { watchQuery: (_: never, args: never) => query.watch(args) };
    Object.assign(answers, { pages: page("One.", 0), whole: undefined });
    vi.spyOn(console, "warn").mockImplementation(() => {});
  });
  afterEach(async () => {
    component.unmount();
    await pass(200);
    expect(component.history.stepBack()).toBeNull();
  });

  test("keeps text that the first reader has not shown yet", async () => {
    component = mount();
    await pass(200);
    answers.pages = page("One. Two.", 0);
    query.tell();
    thereAndBack();
    expect(component.history.last.text).toBe("One. Two.");
  });

  test.each([
    ["more text", whole("One. Two.")],
    ["the end", whole("One.", "done")],
  ])("keeps %s that only the second reader has seen", async (_, seen) => {
    answers.whole = seen;
    component = mount();
    await pass(200);
    // Another component goes on showing the first reader.
    const other = mount();
    await pass(200);
    thereAndBack();
    await pass(200);
    expect(component.history.last).toMatchObject(seen);
    other.unmount();
  });

  test("and took the text as done does not spread that to one that knows better", async () => {
    answers.pages = undefined;
    component = mount(overHttp);
    await pass(5000);
    expect(component.history.last).toMatchObject(whole("One.", "done"));
    component.unmount();
    await pass(6000);
    answers.pages = page("One. Two.", 9);
    const other = mount(overHttp);
    await pass(200);
    component.showAgain();
    await pass(200);
    expect(other.history.last).toMatchObject(whole("One. Two."));
    other.unmount();
    component.history.shown.length = 0;
  });

  test.each([503, 401])(
    "and whose request failed with %d still sends it",
    async (status) => {
      vi.spyOn(console, "error").mockImplementation(() => {});
      const pending = { ...page("", 0), status: "pending", claimed: false };
      Object.assign(answers, { pages: pending });
      const fetch = vi.fn(() => Promise.resolve(new Response("", { status })));
      component = mount({ ...overHttp, fetch, authToken: "old" });
      await pass(500);
      expect(fetch).toHaveBeenCalledTimes(1);
      component.update({ args: { session: "new" }, authToken: "new" });
      await pass(5000);
      expect(fetch.mock.calls.length).toBeGreaterThan(1);
    },
  );

  test("keeps the end that HTTP had while the database was out of reach", async () => {
    answers.pages = undefined;
    component = mount(overHttp);
    await pass(5000);
    expect(component.history.last).toMatchObject(whole("One.", "done"));
    thereAndBack();
    component.update({ incremental: false });
    await pass(200);
    expect(component.history.last).toMatchObject(whole("One.", "done"));
    answers.whole = whole("One.", "timeout");
    query.tell();
    expect(component.history.last.status).toBe("timeout");
    component.history.shown.length = 0;
    component.update({ incremental: true });
    expect(component.history.last.status).toBe("timeout");
  });

  test("keeps text from HTTP while its query throws", async () => {
    answers.pages = undefined;
    component = mount(overHttp);
    await pass(200);
    answers.whole = new Error("The app's query threw.");
    component.update({ incremental: false });
    expect(component.thrown).toBeNull();
  });
});

test("`tail` without `incremental` leaves no gap, however much was saved meanwhile", () => {
  const saved = { text: "0123456789", status: "streaming" as const };
  const query = queryOf(({ tail }) => {
    const from = Math.max(0, saved.text.length - Number(tail));
    return { ...saved, text: saved.text.slice(from), from, next: from };
  });
  const prefix = createPrefix();
  const source = { watch: query.watch as never, tail: 4 };
  const database = createDatabaseSide("stream", source, prefix, () => {});
  database.open();
  database.open();
  expect(prefix.text).toBe("6789");
  Object.assign(saved, { text: `${saved.text}abcdefghij`, status: "done" });
  query.tell();
  expect(prefix).toMatchObject({ text: "6789", status: "streaming" });
  database.open();
  expect(prefix).toMatchObject({ text: "6789abcdefghij", status: "done" });
});

describe("no timer is left, even if `fetch` ignores its signal,", () => {
  const url = "https://app.test/chat";
  const fetch = vi.fn(() => new Promise<Response>(() => {}));

  test.each([
    [
      "by a reader that is closed",
      () => {
        const source = { query: "chat:body", streamId: "a", url, fetch };
        const watcher: Watcher = {
          source: { ...source, driven: true },
          onChange: () => {},
        };
        const unanswered = (() => ({
          localQueryResult: () => undefined,
          onUpdate: () => () => {},
        })) as never;
        addWatcher(readerFor({}, unanswered, watcher.source!), watcher);
        return () => removeWatcher(watcher);
      },
    ],
    [
      "by `readStream` that is aborted",
      () => {
        const controller = new AbortController();
        const { signal } = controller;
        const options = { streamId: "a", drive: true, fetch, signal };
        const reading = readStream(url, options).next();
        reading.catch(() => {});
        return () => controller.abort();
      },
    ],
  ])("%s", async (_, read) => {
    // Intervals, too.
    vi.useFakeTimers();
    fetch.mockClear();
    const leave = read();
    await vi.advanceTimersByTimeAsync(1000);
    expect(fetch).toHaveBeenCalledOnce();
    leave();
    await vi.advanceTimersByTimeAsync(6000);
    expect(vi.getTimerCount()).toBe(0);
  });
});
