import fc from "fast-check";
import { describe, expect, test } from "vitest";
import * as arbitrary from "../support/arbitraries.js";
import { useClock } from "../support/clock.js";
import { setUpComponent } from "../support/component.js";
import { internal } from "../../src/component/_generated/api.js";
import { numberSomeRows } from "../../src/component/rows.js";

useClock();

describe("numbering the rows of version 0.3", () => {
  const limit = { bytes: 1_000_000, documents: 3 };

  test("leaves the text as it is, at each step, for readers and for those who add to it", async () => {
    await fc.assert(
      fc.asyncProperty(
        // Empty rows, too: 0.3 wrote them.
        fc.array(arbitrary.text(5), { maxLength: 11 }),
        fc.nat(12),
        fc.nat(12),
        async (texts, addedAt, anotherAt) => {
          const setup = setUpComponent();
          const { t, insertStream, insertOldChunks, add, read, tail } = setup;
          const streamId = await insertStream({ status: "streaming" });
          await insertOldChunks(streamId, texts);
          let whole = texts.join("");
          const check = async () => {
            expect((await tail(streamId))?.offset).toBe(whole.length);
            const { length } = whole;
            for (const from of [0, Math.floor(length / 2), length]) {
              const page = await read(streamId, from);
              expect(page?.text).toBe(whole.slice(page?.from));
            }
          };
          const steps = [
            null as Parameters<typeof numberSomeRows>[2],
            null as Parameters<typeof numberSomeRows>[2],
          ];
          const running = [true, false];
          for (let i = 0; running.includes(true) || i <= 12; i++) {
            if (i === addedAt) {
              await add(streamId, "More.");
              whole += "More.";
            }
            // Somebody begins a second time.
            if (i === anotherAt) running[1] = true;
            for (const which of [0, 1]) {
              if (!running[which]) continue;
              const next = await t.run((ctx) =>
                numberSomeRows(ctx.db, streamId, steps[which] ?? null, limit),
              );
              steps[which] = next;
              running[which] = next !== null;
            }
            await check();
          }
          const rows = await setup.chunks(streamId);
          expect(rows.every(({ start }) => start !== undefined)).toBe(true);
          expect(rows.map(({ text }) => text).join("")).toBe(whole);
        },
      ),
      { numRuns: 25 },
    );
  });

  test("goes on by itself, and packs the text of a stream that has ended", async () => {
    const setup = setUpComponent();
    const { t, insertStream, insertOldChunks, text, chunks } = setup;
    const streamId = await insertStream({ status: "done" });
    const rows = Array.from({ length: 1300 }, (_, i) => `Row ${i}. `);
    await insertOldChunks(streamId, rows);
    await t.mutation(internal.lib.numberRows, { streamId });
    expect(await setup.finishScheduled()).toBeGreaterThan(5);
    expect(await chunks(streamId)).toHaveLength(1);
    expect((await text(streamId)).text).toBe(rows.join(""));
  });

  test("has nothing to do for a stream of this version, an empty one, one that was deleted", async () => {
    const setup = setUpComponent();
    const { t, create, claim, append, chunks, finishScheduled } = setup;
    const streamId = await create();
    await claim(streamId);
    await append(streamId, 0, "Text.", "done");
    const before = await chunks(streamId);
    await t.mutation(internal.lib.numberRows, { streamId });
    const empty = await create();
    await t.mutation(internal.lib.numberRows, { streamId: empty });
    await t.run((ctx) => ctx.db.delete(empty));
    await t.mutation(internal.lib.numberRows, { streamId: empty });
    await finishScheduled();
    expect(await chunks(streamId)).toEqual(before);
  });
});
