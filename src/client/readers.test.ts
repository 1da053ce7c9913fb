import { expect, test } from "vitest";
import { settled, useClock } from "../../test/support/clock.js";
import {
  neverRuns,
  readBody,
  setUp,
  setUpStream,
  writes,
} from "../../test/support/setup.js";
import { sleep } from "../time.js";
import type { StreamId } from "./index.js";

// Anything may read a response. Whatever it does, the writer continues, and all of
// the text is saved.

useClock();

const MiB = 1024 * 1024;
const PIECE = "lorem ipsum dolor ".repeat(4096);

type Reader = (body: ReadableStream<Uint8Array>) => unknown;

const readers: Record<string, Reader> = {
  "never reads": () => {},
  "is slow": async (body) => {
    const reader = body.getReader();
    for (;;) {
      const { done } = await reader.read();
      if (done) return;
      await sleep(10_000);
    }
  },
  "cancels at once": (body) => body.cancel(),
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

/** Waits until the stream has ended. */
async function untilDone({ page }: Awaited<ReturnType<typeof setUpStream>>) {
  while ((await settled(page(2 ** 52))).status !== "done");
}

test.each(Object.entries(readers))(
  "a reader of stream() that %s does not hold up the writer",
  async (_, read) => {
    const app = await setUpStream();
    const response = await app.respond(
      writes(...Array<string>(60).fill(PIECE)),
    );
    void Promise.resolve(read(response.body!)).catch(() => {});
    await untilDone(app);
    const { text, status } = await app.body();
    expect(status).toBe("done");
    expect(text === PIECE.repeat(60)).toBe(true);
  },
  60_000,
);

test("at most the 20 MiB of a response wait for a reader who never reads, and all of the text is saved", async () => {
  const app = await setUpStream();
  const large = "x".repeat(MiB);
  const response = await app.respond(writes(...Array<string>(24).fill(large)));
  await untilDone(app);
  const waiting = await response.arrayBuffer();
  expect(waiting.byteLength).toBe(20 * MiB);
  expect(await app.page(24 * MiB - 1)).toMatchObject({ text: "x" });
}, 60_000);

test.each(["never reads", "cancels midway", "throws midway"])(
  "a reader of resume() that %s holds up neither the writer nor other readers",
  async (what) => {
    const app = await setUpStream();
    const writing = app.write(...Array<string>(8).fill(PIECE));
    const response = await app.resume();
    void Promise.resolve(readers[what]!(response.body!)).catch(() => {});
    const other = readBody(await app.resume());
    await writing;
    expect((await other.seen.end()) === PIECE.repeat(8)).toBe(true);
  },
  60_000,
);

test("every response of stream() and resume() is private, and neither a page nor a script", async () => {
  const app = await setUpStream();
  const none = "nothing" as StreamId;
  const responses = {
    "stream: 200": await app.respond(writes("Text.")),
    "stream: 205": await app.respond(neverRuns),
    "stream: 404": await setUp().respond(none, neverRuns),
    "resume: 200": await app.resume(0),
    "resume: 400": await app.resume(-1),
    "resume: 404": await setUp().resume(none),
    "resume: 200, closed": await untilDone(app).then(() => app.resume(0)),
    "resume: 204": await app.resume(5),
  };
  for (const [name, { status, headers }] of Object.entries(responses)) {
    expect(`${status}`, name).toBe(/\d+/.exec(name)?.[0]);
    expect(headers.get("X-Content-Type-Options"), name).toBe("nosniff");
    expect(headers.get("Cache-Control"), name).toMatch(/^private, no-store/);
    expect(headers.get("Access-Control-Allow-Origin"), name).toBeNull();
  }
});
