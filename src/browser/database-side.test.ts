import { expect, test, vi } from "vitest";
import { createDatabaseSide, type QueryResult } from "./database-side.js";
import { createPrefix } from "./prefix.js";
import type { Source, StreamReader, Watcher } from "./stream-reader.js";
import { addWatcher, readerFor, removeWatcher } from "./watch-stream.js";

/** A query that answers what it is told to. */
function queryOf(answer: () => QueryResult) {
  const listeners = new Set<() => void>();
  return {
    tell: () => {
      for (const listener of [...listeners]) listener();
    },
    watch: () => ({
      localQueryResult: answer,
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
  const prefix = createPrefix();
  const query = queryOf(() => page("", 0));
  const database = createDatabaseSide(
    "stream",
    { watch: query.watch, incremental: true },
    prefix,
    () => {},
  );
  expect(database.isComplete("done")).toBe(false);
  database.take({ text: "", from: 0, status: "done", claimed: false });
  expect(database.isComplete("done")).toBe(true);
});

test("an unused reader does not come back with less than was shown since", () => {
  const texts = { pages: "One.", whole: "One. Two." };
  const client = {};
  const source = (incremental: boolean): Source => ({
    ...{ query: "chat:body", streamId: "stream", url: null, driven: false },
    incremental,
  });
  const read = (incremental: boolean, before?: StreamReader) => {
    const name = incremental ? "pages" : "whole";
    const query = queryOf(() => page(texts[name], 0));
    const watch = query.watch as never;
    return readerFor(client, watch, source(incremental), before);
  };
  const show = (reader: StreamReader) => {
    const watcher: Watcher = { source: null, onChange: () => {} };
    addWatcher(reader, watcher);
    return watcher;
  };
  const pages = show(read(true));
  removeWatcher(pages);
  const whole = show(read(false, pages.reader));
  const again = read(true, whole.reader);
  expect(again.view.snapshot.text).toBe("One. Two.");
  expect(show(again).reader).toBe(again);
});

test("`tail` without `incremental` leaves no gap, however much was saved meanwhile", () => {
  const saved = { text: "0123456789", status: "streaming" as const };
  const listeners = new Set<() => void>();
  const watch = ({ tail }: Record<string, unknown>) => ({
    localQueryResult: () => {
      const from = Math.max(0, saved.text.length - Number(tail));
      return { ...saved, text: saved.text.slice(from), from, next: from };
    },
    onUpdate: (listener: () => void) => {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
  });
  const prefix = createPrefix();
  const database = createDatabaseSide(
    "stream",
    { watch, tail: 4 },
    prefix,
    () => {},
  );
  database.open();
  database.open();
  expect(prefix.text).toBe("6789");
  Object.assign(saved, { text: `${saved.text}abcdefghij`, status: "done" });
  for (const listener of [...listeners]) listener();
  expect(prefix.text).toBe("6789");
  expect(prefix.status).toBe("streaming");
  database.open();
  expect(prefix.text).toBe("6789abcdefghij");
  expect(prefix.status).toBe("done");
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
  await vi.waitFor(() => expect(fetch).toHaveBeenCalledTimes(1));
  removeWatcher(watcher);
  // As in React: the next reader's effect runs before that of its options.
  const next = source("b", false);
  addWatcher(readerFor(client, unanswered, next, watcher.reader), watcher);
  watcher.source = next;
  watcher.reader!.update(watcher);
  await new Promise((resolve) => setTimeout(resolve, 20));
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
  await vi.waitFor(() =>
    expect(reader.view.snapshot.error).toMatchObject({ status: 401 }),
  );
  removeWatcher(watcher);
  reader.close();
  addWatcher(reader, watcher);
  await vi.waitFor(() => expect(fetch).toHaveBeenCalledTimes(2));
  removeWatcher(watcher);
  reader.close();
});
