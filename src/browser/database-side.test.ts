import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { pass } from "../../test/support/clock.js";
import { clientOf, streamed, usePage } from "../../test/support/page.js";
import { SwitchingComponent } from "../../test/support/switching.js";
import { createDatabaseSide, type QueryResult } from "./database-side.js";
import { createPrefix, type Prefix } from "./prefix.js";
import type { Source } from "./stream-reader.js";

const site = usePage();

const page = (text: string, next: number): QueryResult => ({
  ...{ text, from: 0, next, status: "streaming", claimed: true },
});

const reading = (
  { watch }: ReturnType<typeof clientOf>,
  prefix: Prefix,
  how: object = { incremental: true },
) => createDatabaseSide("stream", { watch, ...how }, prefix, () => {});

test("a reader on the next page, or with a query that throws, has had an answer: HTTP's end is not the stream's", () => {
  let answer = () => page("One.", 4);
  const query = clientOf(() => answer());
  const database = reading(query, createPrefix());
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
  const query = clientOf(() => page("", 0));
  const database = reading(query, prefix);
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
  const query = clientOf(({ from, tail }) => {
    const start = (from as number | undefined) ?? 100 - (tail as number);
    const text = whole.slice(start);
    return { text, status: "done", from: start, next: 100 };
  });
  const database = reading(query, prefix, { incremental: true, tail: 10 });
  database.open();
  database.open();
  expect(prefix).toMatchObject({ status: "done", text: whole.slice(10) });
});

test.each<[string, Partial<QueryResult>, number]>([
  ["the next page", { text: "cd", next: 4 }, 4],
  ["the same, where there is no next", { text: "cd" }, 2],
  ["the same, at the end", { text: "cdef", next: 6, status: "done" }, 2],
  ["all, if a page differs", { text: "XX", next: 4 }, 0],
  ["all, if the end is shorter", { text: "cd", next: 4, status: "done" }, 0],
  ["what follows, if the first differs", { text: "XXX", from: 0, next: 3 }, 3],
])("after HTTP's text, a page is followed by %s", (_, answer, next) => {
  const asked: unknown[] = [];
  const query = clientOf(({ from }) => {
    asked.push(from);
    return { from: 2, status: "streaming", ...answer };
  });
  const prefix = createPrefix();
  prefix.receive(0, "abcdef");
  const database = reading(query, prefix);
  database.continueFrom(1024 + 2);
  database.open();
  database.close();
  database.open();
  expect([asked[0], asked.at(-1)]).toEqual([2, next]);
});

test("a query that takes `from` and does not say where its text starts is asked for all of it", () => {
  const query = clientOf(({ from }) => {
    const text = "One. Two.".slice(Number(from));
    return { text, status: "streaming" };
  });
  const prefix = createPrefix({ text: "One.", start: 0, status: "streaming" });
  const database = reading(query, prefix);
  database.continueFrom(1024 + 4);
  database.open();
  expect(prefix.text).toBe("One.");
  database.open();
  expect(prefix.text).toBe("One. Two.");
});

test("`tail` without `incremental` leaves no gap, however much was saved meanwhile", () => {
  const saved = { text: "0123456789", status: "streaming" as const };
  const query = clientOf(({ tail }) => {
    const from = Math.max(0, saved.text.length - Number(tail));
    return { ...saved, text: saved.text.slice(from), from, next: from };
  });
  const prefix = createPrefix();
  const database = reading(query, prefix, { tail: 4 });
  database.open();
  database.open();
  expect(prefix.text).toBe("6789");
  Object.assign(saved, { text: `${saved.text}abcdefghij`, status: "done" });
  query.tell();
  expect(prefix).toMatchObject({ text: "6789", status: "streaming" });
  database.open();
  expect(prefix).toMatchObject({ text: "6789abcdefghij", status: "done" });
});

test("a stream is not taken as done before the database has had time to answer, even if no one watched when HTTP ended", async () => {
  const { response, write, end } = streamed();
  const first = await site.watch(() => response);
  await write("Hello ");
  first.watching.close();
  await end();
  await site.say({ text: "Hello ", status: "streaming" });
  // A subscription that opens later is not answered in time.
  await site.say(undefined);
  await pass(3800);
  const again = await site.watch(() => response);
  await pass(500);
  expect(again.now().status).toBe("streaming");
});

describe("a component that switches from one reader to another", () => {
  /** What each of the two queries answers. */
  const answers: { pages?: unknown; whole?: unknown } = {};
  const query = clientOf(({ from }) => {
    const answer = from === undefined ? answers.whole : answers.pages;
    if (answer instanceof Error) throw answer;
    return answer;
  });
  const whole = (text: string, status = "streaming") => ({ text, status });
  const source: Source = {
    ...{ query: "chat:body", streamId: "stream", url: null, driven: false },
    incremental: true,
  };
  let response: () => Response;
  const fetch = vi.fn(() => Promise.resolve(response()));
  const overHttp: Partial<Source> = {
    ...{ url: "https://app.test/chat", driven: true, fetch },
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
    Object.assign(answers, { pages: undefined, whole: undefined });
    response = () => new Response("One.");
    fetch.mockClear();
  });
  afterEach(async () => {
    component.unmount();
    await pass(200);
  });

  test.each<[string, unknown, unknown]>([
    ["more text that the first has not shown yet", whole("One. Two."), null],
    ["more text that only the second has seen", null, whole("One. Two.")],
    ["the end that only the second has seen", null, whole("One.", "done")],
  ])("keeps %s", async (_, first, second) => {
    Object.assign(answers, { pages: page("One.", 0), whole: second });
    component = mount();
    // Another component goes on showing the first reader.
    const others = second ? [mount()] : [];
    await pass(200);
    if (first) {
      answers.pages = { ...page("", 0), ...first };
      query.tell();
    }
    thereAndBack();
    await pass(second ? 200 : 0);
    expect(component.history.last).toMatchObject((first ?? second) as object);
    expect(component.history.stepBack()).toBeNull();
    for (const other of others) other.unmount();
  });

  test.each([
    ["not to one that knows better", page("One. Two.", 9), whole("One. Two.")],
    ["to one that knows nothing", undefined, whole("One.", "done")],
  ])("and took the text as done spreads that %s", async (_, answer, shown) => {
    component = mount(overHttp);
    await pass(5000);
    expect(component.history.last).toMatchObject(whole("One.", "done"));
    component.unmount();
    await pass(6000);
    answers.pages = answer;
    const other = mount(overHttp);
    await pass(200);
    component.showAgain();
    await pass(200);
    expect(other.history.last).toMatchObject(shown);
    other.unmount();
  });

  test("to one that shows text from HTTP has that at once", async () => {
    const body = streamed();
    response = () => body.response;
    const first = mount(overHttp);
    await body.write("One.");
    component = mount({ streamId: "a longer text than that", url: null });
    answers.pages = page("Another text.", 13);
    query.tell();
    await pass(200);
    component.history.shown.length = 0;
    component.update({ ...overHttp, streamId: "stream" });
    expect(component.history.shown[0]!.text).toBe("One.");
    component.update({ url: "https://other.test/chat" });
    await body.write(" Two.");
    expect(component.history.last.text).toBe("One. Two.");
    expect(fetch).toHaveBeenCalledOnce();
    expect(component.history.stepBack()).toBeNull();
    first.unmount();
  });

  test.each([
    ["also if it no longer does a render later", false, {}],
    ["not another stream", true, { streamId: "another" }],
  ])("drives what it drove at first, %s", async (_, isLate, changes) => {
    component = mount(overHttp);
    if (isLate) await pass(200);
    component.update({ driven: false, ...changes });
    await pass(200);
    expect(fetch).toHaveBeenCalledOnce();
  });

  test("to another client, keeps its text", async () => {
    const body = streamed();
    response = () => body.response;
    component = mount(overHttp);
    await body.write("One. Two.");
    component.update({}, { watchQuery: client.watchQuery });
    expect(component.history.last).toMatchObject(whole("One. Two."));
    await pass(200);
    expect(component.history.stepBack()).toBeNull();
  });

  test.each([
    [200, 2],
    [401, 2],
    [403, 2],
    [404, 1],
  ])(
    "or stays with one, and is answered %i, asks again when the token changes: %i",
    async (status, times) => {
      const headers = { "Content-Type": "text/html" };
      response = () => new Response(null, { status, headers });
      component = mount({ ...overHttp, authToken: "not\nvalid" });
      await pass(200);
      expect(fetch).toHaveBeenCalledTimes(0);
      for (const change of [{ authToken: "old" }, { headers: {} }]) {
        component.update(change);
        await pass(200);
        expect(fetch).toHaveBeenCalledTimes(1);
      }
      component.update({ authToken: "new" });
      await pass(200);
      expect(fetch).toHaveBeenCalledTimes(times);
      // A function may have another token when the component is back.
      component.update({ authToken: () => "new" });
      component.unmount();
      await pass(6000);
      component.showAgain();
      await pass(200);
      expect(fetch).toHaveBeenCalledTimes(times + 1);
    },
  );

  test.each([503, 401])(
    "and whose request failed with %d still sends it",
    async (status) => {
      answers.pages = { ...page("", 0), status: "pending", claimed: false };
      response = () => new Response("", { status });
      component = mount({ ...overHttp, authToken: "old" });
      await pass(500);
      expect(fetch).toHaveBeenCalledTimes(1);
      component.update({ args: { session: "new" }, authToken: "new" });
      await pass(5000);
      expect(fetch.mock.calls.length).toBeGreaterThan(1);
    },
  );

  test("keeps the end that HTTP had while the database was out of reach", async () => {
    component = mount(overHttp);
    await pass(5000);
    thereAndBack();
    component.update({ incremental: false });
    await pass(200);
    expect(component.history.last).toMatchObject(whole("One.", "done"));
    expect(component.history.stepBack()).toBeNull();
    answers.whole = whole("One.", "timeout");
    query.tell();
    expect(component.history.last.status).toBe("timeout");
    component.update({ incremental: true });
    expect(component.history.last.status).toBe("timeout");
  });

  test("keeps text from HTTP while its query throws", async () => {
    component = mount(overHttp);
    await pass(200);
    answers.whole = new Error("The app's query threw.");
    component.update({ incremental: false });
    expect(component.thrown).toBeNull();
    expect(component.history.stepBack()).toBeNull();
  });
});
