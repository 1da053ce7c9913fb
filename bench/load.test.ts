/** `npm run load` in small: what every reader has, and what stays in memory. */
import { expect, test } from "vitest";
import { load } from "./load/workload.js";
import { isWhole, sentence } from "./load/sentences.js";

test("50 streams at once, each with 4 followers: all have the exact text, and all memory is given back", async () => {
  const { streams, readings, problems, before, during, after } = await load({
    streams: 50,
    followers: 200,
    connections: 20,
    resumers: 10,
    sentences: 8,
    every: 500,
    seconds: 3,
  });
  expect(problems).toEqual([]);
  // And one before all others, which nobody follows.
  expect(streams).toBeGreaterThan(50);
  expect(readings).toBeGreaterThan(200);
  expect(during.length).toBeGreaterThan(0);
  for (const who of ["deployment", "readers"] as const) {
    // Code that was compiled on the way, not texts: those were some 60 kB.
    const kept = after[who].heap - before[who].heap;
    expect(kept, `${who} keep ${kept} bytes`).toBeLessThan(8e6);
  }
}, 60_000);

test("a text is whole if it has each sentence of its stream once", () => {
  const text = [0, 1, 2].map((i) => sentence("a", i, 1000 + i));
  expect(isWhole(text.join(""), "a", 3)).toBe(true);
  const [first = "", second = "", third = ""] = text;
  for (const wrong of [
    first + third,
    first + second,
    first + second + second + third,
    first + second.slice(1) + third,
    first + sentence("b", 1, 1001) + third,
    `${text.join("")} `,
  ]) {
    expect(isWhole(wrong, "a", 3)).toBe(false);
  }
});
