import { describe, expect, test } from "vitest";
import { settled, useClock } from "../../test/support/clock.js";
import { readBody, setUp } from "../../test/support/setup.js";
import { isFinal } from "../shared.js";
import type { BackgroundWriter, StreamId } from "./index.js";

// A stream may be longer than anything that a function returns, writes or
// sends. The tests are held to the limits of a deployment: see
// testing/limits.ts.

useClock();

/** 100 MiB instead of 24: `LIMITS=full npx vitest run limits`. */
const full = process.env.LIMITS === "full";

const MiB = 1024 * 1024;
const RESPONSE = 20 * MiB;

type App = ReturnType<typeof setUp>;

/** A long text that need not be held in memory to be known. */
const PIECE = 64 * 1024;
const piece = (index: number) =>
  `${index}: Ein Stück «Text». 長い😀\n`.padEnd(PIECE, "lorem ipsum ");
const PIECES = (full ? 100 : 24) * 16;
const LENGTH = PIECES * PIECE;

/** Whether `text` is what the long text has at `offset`. */
function isPartAt(offset: number, text: string): boolean {
  const first = Math.floor(offset / PIECE);
  const last = Math.floor((offset + text.length) / PIECE);
  const known = Array.from({ length: last - first + 1 }, (_, i) =>
    piece(first + i),
  ).join("");
  return known.startsWith(text, offset - first * PIECE);
}

const longWriter: BackgroundWriter = async (append) => {
  for (let i = 0; i < PIECES; i++) await append(piece(i));
};

/** The whole text, page by page. */
async function expectAllThere(app: App, streamId: StreamId) {
  let offset = 0;
  for (;;) {
    const page = await app.page(streamId, offset);
    expect(page.from).toBe(offset);
    expect(isPartAt(offset, page.text)).toBe(true);
    offset += page.text.length;
    expect(page.next).toBe(offset);
    if (isFinal(page.status)) {
      expect(page.status).toBe("done");
      break;
    }
  }
  expect(offset).toBe(LENGTH);
}

describe(`a stream of ${PIECES / 16} MiB`, () => {
  test.each(["stream", "generate"] as const)(
    "written by %s is saved, read page by page, resumed in several answers, and deleted",
    async (how) => {
      const app = setUp();
      const streamId = await app.create();
      if (how === "generate") {
        await settled(app.generate(streamId, longWriter));
      } else {
        const response = await app.respond(streamId, longWriter);
        const { seen, whole } = readBody(response);
        const driven = await settled(whole);
        // The driver has what a response may have; the database has all.
        const bytes = new TextEncoder().encode(driven).length;
        expect(bytes).toBeLessThanOrEqual(RESPONSE);
        expect(bytes).toBeGreaterThan(RESPONSE - 4);
        expect(isPartAt(0, driven)).toBe(true);
        expect(seen.closed).toBe(true);
      }
      await expectAllThere(app, streamId);
      await app.finishScheduled();
      await expectAllThere(app, streamId);

      let offset = 0;
      let answers = 0;
      for (; ; answers++) {
        const response = await app.resume(streamId, offset);
        if (response.status === 204) break;
        expect(response.headers.get("Stream-Offset")).toBe(
          String(offset).padStart(16, "0"),
        );
        const text = await settled(readBody(response).whole);
        expect(isPartAt(offset, text)).toBe(true);
        offset += text.length;
      }
      expect(offset).toBe(LENGTH);
      // Some of its characters have more bytes than code units.
      expect(answers).toBeGreaterThanOrEqual(Math.ceil(LENGTH / RESPONSE));
      expect(answers).toBeLessThanOrEqual(Math.ceil(LENGTH / RESPONSE) + 1);

      await expect(app.body(streamId)).rejects.toThrow("Read it in pages");
      await app.remove(streamId);
      await app.finishScheduled();
      const left = await app.inComponent((ctx) =>
        ctx.db.query("chunks").first(),
      );
      expect(left).toBeNull();
    },
    full ? 900_000 : 180_000,
  );
});

const MANY = full ? 1_000_000 : 200_000;

describe("text in pieces of any size", () => {
  const written = async (writer: BackgroundWriter) => {
    const app = setUp();
    const streamId = await app.create();
    const response = await app.respond(streamId, writer);
    const text = await settled(readBody(response).whole);
    await app.finishScheduled();
    return { text, body: await app.body(streamId) };
  };

  test.each([
    { what: "letters", character: () => "a" },
    { what: "ends of sentences", character: () => "." },
    { what: "halves of characters", character: (i: number) => "😀"[i % 2]! },
  ])(
    `${MANY} appends of one code unit ($what) are one text`,
    async ({ character }) => {
      const { text, body } = await written((append) => {
        // Not awaited: as fast as it goes.
        for (let i = 0; i < MANY; i++) void append(character(i));
        return Promise.resolve();
      });
      expect(body.status).toBe("done");
      expect(body.text.length).toBe(MANY);
      expect(body.text === text).toBe(true);
    },
    120_000,
  );

  test(`${MANY} empty appends add nothing`, async () => {
    const { text, body } = await written(async (append) => {
      await append("Some ");
      for (let i = 0; i < MANY; i++) void append("");
      await append("text.");
    });
    expect(text).toBe("Some text.");
    expect(body).toEqual({ text: "Some text.", status: "done" });
  }, 120_000);

  test.each([1, 1.5, 5])(
    "appends of %d MiB",
    async (size) => {
      const one = "Hällo 😀. ".repeat((size * MiB) / 10);
      const { text, body } = await written(async (append) => {
        for (let i = 0; i < 2; i++) await append(one);
      });
      expect(text === one + one).toBe(true);
      expect(body.text === one + one).toBe(true);
    },
    60_000,
  );

  test("one append of 24 MiB", async () => {
    const app = setUp();
    const streamId = await app.create();
    const large = Array.from({ length: 24 * 16 }, (_, i) => piece(i)).join("");
    await settled(app.generate(streamId, (append) => append(large)));
    let offset = 0;
    for (let status = "streaming"; status === "streaming";) {
      const page = await app.page(streamId, offset);
      expect(large.startsWith(page.text, offset)).toBe(true);
      offset += page.text.length;
      status = page.status;
    }
    expect(offset).toBe(large.length);
  }, 120_000);
});
