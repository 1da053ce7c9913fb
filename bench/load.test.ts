/** `npm run load`, scaled down: what every reader has, and what stays in memory. */
import { expect, test } from "vitest";
import { load } from "./load.js";

test("50 streams at once, each with 4 followers: all have the exact text, and all memory is given back", async () => {
  const { streams, readings, problems, samples } = await load({
    streams: 50,
    followers: 200,
    connections: 20,
    resumers: 10,
    tokens: 80,
    burst: 10,
    pace: 500,
    seconds: 3,
  });
  expect(problems).toEqual([]);
  // And one before all others, without followers.
  expect(streams).toBeGreaterThan(50);
  expect(readings).toBeGreaterThan(50 * (4 + 2));
  expect(samples.length).toBeGreaterThan(2);
  const [before, after] = [samples[0]!, samples.at(-1)!];
  for (const who of ["deployment", "readers"] as const) {
    // Code that was compiled on the way, not texts: those were some 60 kB.
    const kept = after[who].heap - before[who].heap;
    expect(kept, `${who} keep ${kept} bytes`).toBeLessThan(8e6);
  }
});
