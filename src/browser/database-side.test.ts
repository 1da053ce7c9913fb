import { expect, test } from "vitest";
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
