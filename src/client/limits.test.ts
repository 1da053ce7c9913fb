import { expect, test } from "vitest";
import { settled, useClock } from "../../test/support/clock.js";
import { readBody, setUpStream, textOf } from "../../test/support/setup.js";
import type { BackgroundWriter } from "./index.js";

// A stream may be longer than anything that a function returns, writes or sends.
// `test/support/with-limits.ts` holds these tests to the limits of a deployment.

useClock();

const MiB = 1024 * 1024;
const RESPONSE = 20 * MiB;

/** A long text, piece by piece. */
const PIECE = 64 * 1024;
const piece = (index: number) =>
  `${index}: Ein Stück «Text». 長い😀\n`.padEnd(PIECE, "lorem ipsum ");
const PIECES = 24 * 16;
const text = Array.from({ length: PIECES }, (_, i) => piece(i)).join("");

type App = Awaited<ReturnType<typeof setUpStream>>;

/** Reads the saved text, page by page. */
async function expectAllSaved({ page }: App) {
  let offset = 0;
  for (let status = "streaming"; status === "streaming";) {
    const read = await page(offset);
    expect(read.from).toBe(offset);
    expect(text.startsWith(read.text, offset)).toBe(true);
    offset += read.text.length;
    expect(read.next).toBe(offset);
    status = read.status;
    if (status !== "streaming") expect(status).toBe("done");
  }
  expect(offset).toBe(text.length);
}

test.each<[string, BackgroundWriter]>([
  [
    "pieces",
    async (append) => {
      for (let i = 0; i < PIECES; i++) await append(piece(i));
    },
  ],
  ["one append", (append) => append(text)],
])(
  "a stream of 24 MiB in %s is saved, read page by page, resumed in several responses, and deleted",
  async (_, writer) => {
    const app = await setUpStream();
    const response = await app.respond(writer);
    // Everything is written before anyone reads.
    await textOf(await app.resume(text.length));
    const driven = await textOf(response);
    // The response has what fits; the database has everything.
    const bytes = new TextEncoder().encode(driven).length;
    expect(bytes).toBeLessThanOrEqual(RESPONSE);
    expect(bytes).toBeGreaterThan(RESPONSE - 4);
    expect(text.startsWith(driven)).toBe(true);
    await expectAllSaved(app);
    await app.finishScheduled();
    await expectAllSaved(app);

    let offset = 0;
    let responses = 0;
    for (; ; responses++) {
      const response = await app.resume(offset);
      if (response.status === 204) break;
      expect(Number(response.headers.get("Stream-Offset"))).toBe(offset);
      const part = await settled(readBody(response).whole);
      expect(text.startsWith(part, offset)).toBe(true);
      offset += part.length;
    }
    expect(offset).toBe(text.length);
    expect(responses).toBe(2);

    await expect(app.body()).rejects.toThrow("Read it in pages");
    await app.remove();
    await app.finishScheduled();
    const left = await app.inComponent((ctx) => ctx.db.query("chunks").first());
    expect(left).toBeNull();
  },
  180_000,
);

test.each(["a", ".", "😀", ""])(
  "200,000 appends of the code units of %j, none of them awaited, are one text",
  async (character) => {
    const app = await setUpStream();
    const seen = await app.stream((append) => {
      for (let i = 0; i < 200_000; i++) {
        void append(character.charAt(i % character.length));
      }
      return Promise.resolve();
    });
    const text = character.repeat(200_000 / (character.length || 1));
    expect((await seen.end()) === text).toBe(true);
    await app.finishScheduled();
    const body = await app.body();
    expect(body.status).toBe("done");
    expect(body.text === text).toBe(true);
  },
  120_000,
);
