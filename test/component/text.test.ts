import fc from "fast-check";
import * as arbitrary from "../support/arbitraries.js";
import { describe, expect, test } from "vitest";
import type { StreamPage } from "../../src/shared.js";
import { pass, useClock } from "../support/clock.js";
import { setUpComponent, type Component } from "../support/component.js";
import { story } from "../support/story.js";
import { api } from "../../src/component/_generated/api.js";
import { PAGE_LENGTH } from "../../src/component/text.js";

useClock();

const MiB = 1024 * 1024;
const halfCharacter = /\p{Surrogate}/u;

/** A stream that its writer appends to, commit by commit. */
async function writtenStream(setup: Component = setUpComponent()) {
  const streamId = await setup.create();
  await setup.claim(streamId);
  let text = "";
  return {
    ...setup,
    streamId,
    text: () => text,
    save: async (piece: string, final?: "done" | "error") => {
      await setup.append(streamId, text.length, piece, final);
      text += piece;
    },
    page: async (from: number) => {
      const page = await setup.read(streamId, from);
      if (page === null) throw new Error("There is no such stream.");
      return page;
    },
  };
}

/** A reader: it holds a prefix, asks from a position, and moves on as the pages say. */
class Follower {
  text = "";
  constructor(public position: number) {}

  take(page: StreamPage) {
    expect(page.from).toBeLessThanOrEqual(this.position);
    expect(page.next).toBeGreaterThanOrEqual(this.position);
    // Nothing is skipped, and what comes again is the same.
    expect(page.from).toBeLessThanOrEqual(this.text.length);
    const known = this.text.length - page.from;
    expect(page.text.slice(0, known)).toBe(this.text.slice(page.from));
    this.text += page.text.slice(known);
    this.position = page.next;
  }
}

/** Commits of very different sizes: a page is reached by one, by many, or not at all. */
const commits = fc.array(
  fc
    .tuple(arbitrary.text(12), fc.constantFrom(1, 1, 5, 60))
    .map(([text, times]) => text.repeat(times))
    .filter((text) => text !== ""),
  { maxLength: 12 },
);

describe("reading from an offset", () => {
  test("gives the text from there on to the end, however it was saved", async () => {
    await fc.assert(
      fc.asyncProperty(
        commits,
        fc.array(fc.nat(4000), { maxLength: 6 }),
        fc.constantFrom(undefined, "done" as const),
        async (pieces, offsets, final) => {
          const { save, page, text, tail, streamId } = await writtenStream();
          for (const piece of pieces) {
            await save(piece);
            const offset = text().length;
            expect(await tail(streamId)).toMatchObject({ offset });
          }
          if (final) await save("", final);
          const { status, draining } = await page(0);
          const offset = text().length;
          expect(await tail(streamId)).toEqual({ offset, status, draining });
          const whole = text();
          for (const from of [0, whole.length, ...offsets]) {
            if (from > whole.length) continue;
            const { text, from: start, next } = await page(from);
            expect(text).toBe(whole.slice(start));
            expect(text).not.toMatch(halfCharacter);
            expect(next).toBeGreaterThanOrEqual(from);
            expect(next).toBeLessThanOrEqual(whole.length);
            if (final) expect(next).toBe(whole.length);
            const cutsPair = halfCharacter.test(whole.slice(from));
            expect(start).toBe(cutsPair ? from - 1 : from);
          }
        },
      ),
    );
  });

  test.each([
    { from: 1000, text: "Short.", what: "beyond the end" },
    { from: 2 ** 53 - 1, text: "Short.", what: "the largest there can be" },
    { from: 0, text: "", what: "of a stream without text" },
    { from: -0, text: "", what: "which is 0" },
  ])("$from of $text gives nothing yet: $what", async ({ from, text }) => {
    const { save, page } = await writtenStream();
    if (text !== "") await save(text);
    expect(await page(from)).toEqual({
      text: "",
      status: text === "" ? "pending" : "streaming",
      from: from + 0,
      next: from + 0,
      claimed: true,
      draining: false,
      upToDate: true,
    });
  });

  test.each([
    { tail: 5, from: 5 },
    { tail: 0, from: 10 },
    { tail: 99, from: 0 },
    { tail: 5, from: 2, asked: 2 },
  ])(
    "tail: $tail starts at $from of 10 characters",
    async ({ tail, from, asked }) => {
      const { t, save, streamId } = await writtenStream();
      await save("Some text.");
      const args = { streamId, tail, ...(asked && { from: asked }) };
      const text = "Some text.".slice(from);
      const page = await t.query(api.lib.read, args);
      expect(page).toMatchObject({ from, text, upToDate: true });
    },
  );

  test("to find the end costs two documents, however long the text is", async () => {
    const { save, streamId, documentsRead } = await writtenStream();
    const read = () => documentsRead(streamId, undefined, api.lib.tail);
    expect(await read()).toBe(1);
    for (let i = 0; i < 40; i++) await save("x".repeat(300));
    await save("y".repeat(300_000));
    expect(await read()).toBe(2);
  });
});

describe("a page of many chunks", () => {
  /** Chunks that have not been packed, each with a different text. */
  const rows = (count: number) =>
    Array.from({ length: count }, (_, i) => `${i} 😀 `.padEnd(520, "·"));

  test.each([
    ["streaming", 300],
    ["done", 300],
    ["done", 257],
    ["done", 256],
  ] as const)(
    "ends after 256 of them: a stream that is %s, with %i chunks, continues with the next",
    async (status, count) => {
      const setup = setUpComponent();
      const streamId = await setup.insertStream({ status });
      await setup.insertChunks(streamId, rows(count));
      const whole = rows(count).join("");
      for (const from of [0, 519, 520, 100_000]) {
        const { pages, text } = await setup.pages(streamId, from);
        expect(text).toBe(whole.slice(from));
        // The stream, 256 chunks, and the one that shows that there are more.
        const documents = await setup.documentsRead(streamId, from);
        expect(documents).toBeLessThanOrEqual(258);
        for (const page of pages.slice(0, -1)) {
          expect(page.status).toBe("streaming");
          expect(page.next).toBe(page.from + page.text.length);
        }
        expect(pages.at(-1)?.status).toBe(status);
        // A live stream is asked once more.
        const last = status === "done" ? 0 : 1;
        const chunks = count - Math.floor(from / 520);
        expect(pages).toHaveLength(Math.ceil(chunks / 256) + last);
      }
      // A read of the whole text has no such limit.
      expect((await setup.read(streamId))?.text).toBe(whole);
    },
  );

  test("of a stream that has been aborted is not draining before it has the end", async () => {
    const { insertStream, insertChunks, read } = setUpComponent();
    const streamId = await insertStream({ status: "aborted", writer: "w" });
    await insertChunks(streamId, rows(300));
    expect((await read(streamId, 0))?.draining).toBe(false);
    expect((await read(streamId, 256 * 520))?.draining).toBe(true);
  });
});

describe("following", () => {
  test("all readers move along the same offsets, so that one answer serves them all", async () => {
    const { save, page, text } = await writtenStream();
    const followers: Follower[] = [];
    const asked = new Set<number>();
    for (const sentence of story(150).match(/.*?\. /gu) ?? []) {
      await save(sentence);
      if (followers.length < 8) followers.push(new Follower(0));
      for (const follower of followers) {
        // Up to date: the offset that it will ask from at the next commit.
        let before: number;
        do {
          before = follower.position;
          follower.take(await page(before));
        } while (follower.position > before);
        expect(follower.text).toBe(text());
        asked.add(follower.position);
      }
      const positions = new Set(followers.map(({ position }) => position));
      expect(positions.size).toBe(1);
    }
    const pages = text().length / PAGE_LENGTH;
    expect(asked.size).toBeLessThanOrEqual(pages + 1);
    expect(asked.size).toBeGreaterThan(pages / 2);
  });

  test("costs at most about a page per commit and three documents, however long the text is", async () => {
    const { save, page, documentsRead, streamId } = await writtenStream();
    const follower = new Follower(0);
    await save("x".repeat(200_000));
    follower.take(await page(0));
    for (let commit = 0; commit < 60; commit++) {
      await save(`${commit}`.padEnd(70, "."));
      const { text } = await page(follower.position);
      expect(text.length).toBeLessThan(PAGE_LENGTH + 70);
      expect(
        await documentsRead(streamId, follower.position),
      ).toBeLessThanOrEqual(3);
      follower.take(await page(follower.position));
    }
    expect(follower.text.length).toBe(204_200);
  });
});

describe("packing", () => {
  test("a reply of 2,000 tokens ends in one document", async () => {
    const { t, save, streamId, chunks, text, documentsRead } =
      await writtenStream();
    const length = async () =>
      (await t.query(api.lib.getStreamInfo, { streamId }))?.length;
    const sentences = story(350).match(/.*?\. /gu) ?? [];
    for (const sentence of sentences) await save(sentence);
    expect((await chunks(streamId)).length).toBeGreaterThan(10);
    expect(await length()).toBe(text().length);
    await save("The end.", "done");
    expect(text().length).toBeGreaterThan(8000);
    expect(await chunks(streamId)).toHaveLength(1);
    expect(await documentsRead(streamId)).toBe(2);
    expect(await length()).toBe(text().length);
    const { getStreamInfo } = api.lib;
    expect(await documentsRead(streamId, undefined, getStreamInfo)).toBe(1);
  });

  test.each([
    { how: "its writer", end: "done" as const },
    { how: "an abort", end: undefined },
  ])(
    "a long text that $how ended is packed in steps, and can be read between them",
    async ({ end }) => {
      const { save, text, page, streamId, ...setup } = await writtenStream();
      for (let i = 0; i < 25; i++) {
        await save(`${i} 😀 `.repeat(2000));
        await save("x".repeat(i));
      }
      const offsets = [0, 1, 511, 65_535, 65_536, 65_537, 200_001];
      const check = async () => {
        for (const from of [...offsets, text().length]) {
          const { text: rest, from: start } = await page(from);
          expect(rest === text().slice(start)).toBe(true);
          expect(from - start).toBeLessThanOrEqual(1);
        }
      };
      await check();
      if (end) await save("The end.", end);
      else await setup.abort(streamId);
      expect((await setup.chunks(streamId)).length).toBeGreaterThan(20);
      await check();
      await setup.runNext();
      await check();
      await setup.finishScheduled();
      await check();
      const packed = await setup.chunks(streamId);
      expect(packed.length).toBe(Math.ceil(text().length / (64 * 1024)));
    },
  );

  test.each([0, 1, 2, 3])(
    "small chunks are packed in several runs, without gaps at any step: the last words arrive after run %i",
    async (when) => {
      const setup = setUpComponent();
      const live = { status: "streaming", writer: "writer" } as const;
      const streamId = await setup.insertStream(live);
      const rows = Array.from({ length: 700 }, (_, i) =>
        `${i} 😀 `.padEnd(100 + (i % 7), "·"),
      );
      let whole = rows.join("");
      await setup.insertChunks(streamId, rows);
      await setup.abort(streamId);
      for (let run = 0; run < 4; run++) {
        if (run === when) {
          await setup.append(streamId, whole.length, "Nearly. ");
          await setup.append(streamId, whole.length + 8, "The end.", "done");
          whole += "Nearly. The end.";
        }
        const chunks = await setup.chunks(streamId);
        if (run === 1 && when > 0) expect(chunks.length).toBeGreaterThan(100);
        let end = 0;
        for (const { start, text } of chunks) {
          expect(start).toBe(end);
          end += text.length;
        }
        expect(end).toBe(whole.length);
        await pass(1);
        await setup.t.finishInProgressScheduledFunctions();
      }
      await setup.finishScheduled();
      const written = { text: whole, status: "aborted" };
      expect(await setup.text(streamId)).toEqual(written);
      expect(await setup.chunks(streamId)).toHaveLength(2);
    },
  );

  test("3 MiB in one save make legal documents of whole characters", async () => {
    const { save, streamId, chunks, text } = await writtenStream();
    await save("a");
    await save("😀".repeat((3 * MiB) / 4));
    const rows = await chunks(streamId);
    expect(rows.map((row) => row.text).join("")).toBe(text());
    for (const row of rows) {
      expect(row.text.length).toBeLessThanOrEqual(64 * 1024);
      expect(row.text).not.toMatch(halfCharacter);
    }
  });
});
