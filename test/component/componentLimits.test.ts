import { describe, expect, test } from "vitest";
import { pass, useClock } from "../support/clock.js";
import { setUpComponent } from "../support/component.js";
import { api } from "../../src/component/_generated/api.js";
import type { Id } from "../../src/component/_generated/dataModel.js";
import { CHUNK_LIMIT, pieces } from "../../src/component/text.js";

// What is larger than a Convex function may be asked for goes in pages or
// batches, or is refused in a sentence that names the limit and the way out.
// The tests are held to the limits of a deployment: see test/support/with-limits.ts.

useClock();

const MiB = 1024 * 1024;
const MINUTE = 60_000;

/** `toBe`, without a diff of megabytes. */
function expectSame(text: string | undefined, expected: string): void {
  expect(text?.length).toBe(expected.length);
  expect(text === expected).toBe(true);
}

describe("arguments are limited to 16 MiB, and so are writes", () => {
  test.each(["a", "😀"])(
    "append and addChunk take 15 MiB at once (%s)",
    async (character) => {
      const setup = setUpComponent();
      const { create, claim, append, add, finishScheduled } = setup;
      const size = new TextEncoder().encode(character).length;
      const whole = character.repeat(Math.floor((15 * MiB) / size));
      const claimed = await create();
      await claim(claimed);
      expect(await append(claimed, 0, whole, "done")).toBe("done");
      const unclaimed = await create();
      await add(unclaimed, whole, true);
      for (const streamId of [claimed, unclaimed]) {
        expectSame((await setup.pages(streamId)).text, whole);
      }
      await finishScheduled();
      for (const streamId of [claimed, unclaimed]) {
        expectSame((await setup.pages(streamId)).text, whole);
      }
    },
    30_000,
  );

  test("a save that is repeated with more text is refused where not all that is saved can be read", async () => {
    const setup = setUpComponent();
    const { create, claim, append } = setup;
    const streamId = await create();
    await claim(streamId);
    // As JSON, a quote takes two bytes.
    const quotes = '"'.repeat(7 * MiB);
    await append(streamId, 0, quotes);
    await append(streamId, 0, quotes + "!");
    await append(streamId, 7 * MiB + 1, quotes);
    const whole = quotes + "!" + quotes;
    await append(streamId, 0, quotes);
    await expect(append(streamId, 0, whole + "More.")).rejects.toThrow(
      "does not continue it",
    );
    expectSame((await setup.pages(streamId)).text, whole);
  });
});

describe("a result has 16 MiB", () => {
  // As JSON, a quote takes two bytes and a control character six.
  const characters = [
    { unit: "a", size: 1 },
    { unit: "中", size: 3 },
    { unit: "😀", size: 4 },
    { unit: '"', size: 2 },
    { unit: "\u0001", size: 6 },
  ];
  test.each(
    characters.flatMap((character) =>
      [14.8, 15.9].map((length) => ({ ...character, length })),
    ),
  )(
    "$length MiB of $unit: 14.8 are read at once, more only in pages",
    async ({ unit, size, length }) => {
      const setup = setUpComponent();
      const streamId = await setup.insertStream({ status: "done" });
      const whole = unit.repeat(Math.floor((length * MiB) / size));
      for (let at = 0; at < whole.length; at += 40 * CHUNK_LIMIT) {
        const chunks = pieces(whole.slice(at, at + 40 * CHUNK_LIMIT));
        await setup.insertChunks(streamId, chunks, at);
      }
      if (length < 15) {
        expectSame((await setup.read(streamId))?.text, whole);
        expectSame((await setup.text(streamId)).text, whole);
        return;
      }
      const sentence = "Read it in pages: getStreamBody(ctx, streamId, from)";
      await expect(setup.read(streamId)).rejects.toThrow(sentence);
      await expect(setup.text(streamId)).rejects.toThrow(sentence);
      const { text, pages } = await setup.pages(streamId);
      expectSame(text, whole);
      expect(pages.length).toBeLessThan(7);
      const final = pages.filter(({ status }) => status === "done");
      expect(final).toEqual([pages.at(-1)]);
    },
  );
});

describe("a function reads 16 MiB and 32,000 documents", () => {
  test("33,000 rows of version 0.3 are read as far as that goes; they can time out and be deleted", async () => {
    const setup = setUpComponent();
    const { t, read, tail, text, status, remove, cleanUp } = setup;
    const texts = Array.from({ length: 33_000 }, (_, i) => `Row ${i}. `);
    const streamId = await setup.insertStream({ status: "streaming" });
    for (let at = 0; at < texts.length; at += 12_000) {
      await setup.insertOldChunks(streamId, texts.slice(at, at + 12_000));
    }
    const whole = texts.join("");
    await expect(text(streamId)).rejects.toThrow("Read it in pages");
    const first = await read(streamId, 0);
    expect(first?.status).toBe("streaming");
    expectSame(first?.text, whole.slice(0, first?.text.length));
    const wayOut = "Read the text from the beginning, in pages";
    await expect(read(streamId, whole.length - 1)).rejects.toThrow(wayOut);
    await expect(tail(streamId)).rejects.toThrow(wayOut);

    await pass(21 * MINUTE);
    await cleanUp();
    await setup.finishScheduled();
    expect(await status(streamId)).toBe("timeout");
    expect(await read(streamId, 0)).toMatchObject({ text: first?.text });
    await remove(streamId);
    await setup.finishScheduled();
    const left = await t.run((ctx) => ctx.db.query("chunks").first());
    expect(left).toBeNull();
  }, 120_000);

  test.each([
    { replies: 600, characters: 60_000, unit: "a" },
    { replies: 200, characters: 60_000, unit: "中" },
    { replies: 1000, characters: 2, unit: "中" },
    { replies: 1, characters: 1_000_000, unit: "中" },
  ])(
    "one mutation deletes $replies replies of $characters characters ($unit)",
    async ({ replies, characters, unit }) => {
      const setup = setUpComponent();
      const { t, insertStream, insertChunks, finishScheduled } = setup;
      const text = unit.repeat(characters);
      const chunks: string[] = [];
      for (let at = 0; at < characters; at += CHUNK_LIMIT) {
        chunks.push(text.slice(at, at + CHUNK_LIMIT));
      }
      const ids: Id<"streams">[] = [];
      for (let i = 0; i < replies; i++) {
        ids.push(await insertStream({ status: "done" }));
        await insertChunks(ids[i]!, chunks);
      }
      await t.mutation(async (ctx) => {
        for (const streamId of ids) {
          await ctx.runMutation(api.lib.deleteStream, { streamId });
        }
      });
      const left = (table: "streams" | "chunks" | "deletions") =>
        t.run((ctx) => ctx.db.query(table).first());
      expect(await left("streams")).toBeNull();
      // One run for 4 MiB or 500 documents, all scheduled by the first deletion.
      const size = new TextEncoder().encode(text).length * replies;
      expect(await finishScheduled()).toBeLessThan(
        3 + size / MiB / 3 + replies / 200,
      );
      expect(await left("chunks")).toBeNull();
      expect(await left("deletions")).toBeNull();
    },
    120_000,
  );

  test("the cron gets through streams whose newest rows of version 0.3 have a MiB each", async () => {
    const { insertStream, insertOldChunks, status, cleanUp, finishScheduled } =
      setUpComponent();
    const ids: Id<"streams">[] = [];
    for (let i = 0; i < 30; i++) {
      ids.push(await insertStream({ status: "streaming" }));
      await insertOldChunks(ids[i]!, ["x".repeat(MiB - 200)]);
    }
    await pass(21 * MINUTE);
    await cleanUp();
    await finishScheduled();
    for (const id of ids) expect(await status(id)).toBe("timeout");
  });
});
