import { describe, expect, test } from "vitest";
import { settled, useClock } from "../../test/support/clock.js";
import {
  neverRuns,
  readBody,
  setUp,
  writes,
} from "../../test/support/setup.js";
import type { StreamId } from "./index.js";

// What reads a response is somebody else's program. Whatever it does, the
// writer writes on, and all of the text is saved.

useClock();

const MiB = 1024 * 1024;
const PIECE = "lorem ipsum dolor ".repeat(4096);
const PIECES = 60;
const TEXT = PIECE.repeat(PIECES);

type App = ReturnType<typeof setUp>;
type Reader = (body: ReadableStream<Uint8Array>) => unknown;

const readers: Record<string, Reader> = {
  "never reads": () => {},
  "reads one piece, and no more": (body) => body.getReader().read(),
  "takes one byte of each piece, and time": async (body) => {
    const reader = body.getReader();
    for (;;) {
      const { done } = await reader.read();
      if (done) return;
      await new Promise((resolve) => setTimeout(resolve, 10_000));
    }
  },
  "cancels at once": (body) => body.cancel(),
  "cancels with an error": (body) => body.cancel(new Error("Gone.")),
  "cancels midway": async (body) => {
    const reader = body.getReader();
    for (let i = 0; i < 5; i++) await reader.read();
    await reader.cancel("Enough.");
  },
  "throws midway": async (body) => {
    for await (const _ of body as unknown as AsyncIterable<Uint8Array>) {
      throw new Error("A reader that fails.");
    }
  },
  "lets go of it": async (body) => {
    const reader = body.getReader();
    await reader.read();
    reader.releaseLock();
  },
};

async function expectAllSaved(app: App, streamId: StreamId) {
  let offset = 0;
  for (let status = "streaming"; status === "streaming";) {
    const page = await app.page(streamId, offset);
    expect(TEXT.startsWith(page.text, offset)).toBe(true);
    offset += page.text.length;
    status = page.status;
    if (status !== "streaming") expect(status).toBe("done");
  }
  expect(offset).toBe(TEXT.length);
}

describe("a reader of stream() that", () => {
  test.each(Object.entries(readers))(
    "%s does not hold up the writer",
    async (_, read) => {
      const app = setUp();
      const streamId = await app.create();
      let ended = false;
      const response = await app.respond(streamId, async (append) => {
        for (let i = 0; i < PIECES; i++) await append(PIECE);
        ended = true;
      });
      void Promise.resolve(read(response.body!)).catch(() => {});
      for (;;) {
        const { status } = await settled(app.page(streamId, 2 ** 52));
        if (status === "done") break;
      }
      expect(ended).toBe(true);
      await expectAllSaved(app, streamId);
    },
    60_000,
  );
});

test("at most the 20 MiB of a response wait for a reader who never reads", async () => {
  const app = setUp();
  const streamId = await app.create();
  const large = PIECE.repeat(12);
  const response = await app.respond(streamId, async (append) => {
    for (let length = 0; length < 24 * MiB; length += large.length) {
      await append(large);
    }
  });
  for (;;) {
    const { status } = await settled(app.page(streamId, 2 ** 52));
    if (status === "done") break;
  }
  let waiting = 0;
  for await (const bytes of response.body as unknown as AsyncIterable<Uint8Array>) {
    waiting += bytes.length;
  }
  expect(waiting).toBe(20 * MiB);
}, 60_000);

describe("a reader of resume() that", () => {
  test.each(["never reads", "cancels midway", "throws midway"])(
    "%s does not hold up the writer, or other readers",
    async (what) => {
      const read = readers[what]!;
      const app = setUp();
      const streamId = await app.create();
      const writing = app.generate(
        streamId,
        writes(...Array<string>(8).fill(PIECE)),
      );
      const response = await app.resume(streamId);
      void Promise.resolve(read(response.body!)).catch(() => {});
      const other = readBody(await app.resume(streamId));
      await settled(writing);
      expect((await settled(other.whole)) === PIECE.repeat(8)).toBe(true);
    },
    60_000,
  );
});

test("every response of stream() and resume() is private, and no page or script", async () => {
  const app = setUp();
  const streamId = await app.create();
  const none = "nothing" as StreamId;
  const responses = {
    "stream: 200": await app.respond(streamId, writes("Text.")),
    "stream: 205": await app.respond(streamId, neverRuns),
    "stream: 404": await app.respond(none, neverRuns),
    "resume: 200": await app.resume(streamId, 0),
    "resume: 400": await app.resume(streamId, -1),
    "resume: 404": await app.resume(none),
    "resume: 200, closed": await (async () => {
      for (;;) {
        const { status } = await settled(app.body(streamId));
        if (status === "done") return app.resume(streamId, 0);
      }
    })(),
    "resume: 204": await app.resume(streamId, 5),
  };
  for (const [name, response] of Object.entries(responses)) {
    expect(`${response.status}`, name).toBe(/\d+/.exec(name)?.[0]);
    const { headers } = response;
    expect(headers.get("X-Content-Type-Options"), name).toBe("nosniff");
    // What is complete may be compressed; what is still written may not be held back.
    expect(headers.get("Cache-Control"), name).toMatch(
      /^private, no-store(, no-transform)?$/,
    );
    expect(headers.get("X-Accel-Buffering"), name).toBe("no");
    expect(headers.get("Access-Control-Expose-Headers"), name).toBe(
      "Stream-Offset, Stream-Next-Offset, Stream-Closed, Stream-Status, Stream-Error",
    );
    // Who may read it across origins is for the app to say.
    expect(headers.get("Access-Control-Allow-Origin"), name).toBeNull();
    expect(headers.get("Content-Type"), name).toBe(
      response.status === 200
        ? "text/plain; charset=utf-8"
        : response.body === null
          ? null
          : "application/json",
    );
  }
});
