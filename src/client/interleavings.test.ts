import fc from "fast-check";
import { afterEach, expect, test, vi } from "vitest";
import { settled, useClock } from "../testing/clock.js";
import {
  errorsLogged,
  readBody,
  setUp,
  textOf,
  type Fault,
} from "../testing/setup.js";
import { story } from "../testing/story.js";
import type { FlushOptions } from "./flush.js";
import type {
  BackgroundWriter,
  ChunkAppender,
  StreamId,
  StreamPage,
} from "./index.js";
import { sleep } from "../time.js";

useClock();
afterEach(() => vi.restoreAllMocks());

const MINUTE = 60_000;

/** All that happens to one stream. Times are in ms. */
interface Schedule {
  flush: "sentence" | "line" | FlushOptions;
  /** What the writer appends: each time half a character or none, so much of a story, and then a pause. */
  pieces: { half: string; length: number; pause: number }[];
  /** The lengths of all pieces are multiplied by this. */
  scale: number;
  /** The pauses are multiplied by this. */
  pace: number;
  style: WriterStyle;
  throws: boolean;
  /** How the writer's saves go, in turn, over and over; a number says how long the answer takes. */
  saves: ("prompt" | "refused" | "lost" | number)[];
  /** How the stream is ended by somebody else, if the writer has not ended by then. */
  outside: { at: number; how: "abort" | "delete" | "timeout" | "done" } | null;
  /** How long the follower waits between two looks, in turn, over and over. */
  looks: number[];
}

/** What a writer does with a text. A generator just yields it. */
const appending = {
  "awaits its appends": (append: ChunkAppender, text: string) => append(text),
  "does not await": (append: ChunkAppender, text: string) => void append(text),
  "ignores its signal": (append: ChunkAppender, text: string) =>
    append(text).catch(() => {}),
};
type WriterStyle = keyof typeof appending | "generates";

/** Mostly `usual`, in one case of `parts` something else. */
const rarely = <T, U>(parts: number, usual: T, other: fc.Arbitrary<U>) =>
  fc.oneof(
    { weight: parts - 1, arbitrary: fc.constant(usual) },
    { weight: 1, arbitrary: other },
  );

const schedules: fc.Arbitrary<Schedule> = fc.record({
  flush: rarely(
    3,
    "sentence" as const,
    fc.oneof(
      fc.constant("line" as const),
      fc.record({
        maxChars: fc.integer({ min: 50, max: 100_000 }),
        maxDelayMs: fc.integer({ min: 50, max: 2000 }),
      }),
    ),
  ),
  pieces: fc.array(
    fc.record({
      half: rarely(10, "", fc.constantFrom("\uD83C", "\uDFAD")),
      length: fc.nat(200),
      pause: rarely(2, 0, fc.nat(600)),
    }),
    { minLength: 1, maxLength: 60, size: "max" },
  ),
  scale: fc.constantFrom(1, 1, 1, 5, 5, 600),
  pace: fc.constantFrom(0, 0, 1, 1, 4),
  style: fc.constantFrom<WriterStyle>(
    "awaits its appends",
    "does not await",
    "ignores its signal",
    "generates",
  ),
  throws: rarely(5, false, fc.constant(true)),
  // Seven failures in a row stop the writer, 22 would lose text.
  saves: fc
    .array(
      rarely<"prompt", "refused" | "lost" | number>(
        2,
        "prompt",
        fc.oneof(fc.constantFrom("refused", "lost"), fc.nat(1500)),
      ),
      { maxLength: 12, size: "max" },
    )
    .map((saves) => [...saves, "prompt" as const]),
  outside: fc.option(
    fc.record({
      at: fc.nat(5000),
      how: fc.constantFrom("abort", "delete", "timeout", "done"),
    }),
    { freq: 2 },
  ),
  looks: fc.array(fc.integer({ min: 20, max: 800 }), {
    minLength: 1,
    maxLength: 5,
  }),
});

/** Longer than what any schedule writes. */
const longStory = story(300_000);

/** The texts that the writer appends, cut anywhere, through characters too. */
function textsOf({ pieces, scale }: Schedule): string[] {
  let end = 0;
  return pieces.map(({ half, length }) => {
    const start = end;
    end += length * scale;
    return half + longStory.slice(start, end);
  });
}

/** What becomes of these texts: half a character without its other half is U+FFFD. */
const joined = (texts: string[]) =>
  texts.join("").replace(/\p{Surrogate}/gu, "\uFFFD");

function writerOf(schedule: Schedule): BackgroundWriter {
  const { pieces, pace, style, throws } = schedule;
  async function* written() {
    for (const [i, text] of textsOf(schedule).entries()) {
      yield text;
      const pause = (pieces[i]?.pause ?? 0) * pace;
      if (pause > 0) await sleep(pause);
    }
    if (throws) throw new Error("The model broke down.");
  }
  if (style === "generates") return written;
  return async (append) => {
    for await (const text of written()) await appending[style](append, text);
  };
}

type App = ReturnType<typeof setUp>;

/** Follows a stream from page to page: each look begins where the page before it said. */
function follow({ page }: App, streamId: StreamId, looks: number[]) {
  const pages: StreamPage[] = [];
  let stopped = false;
  const look = async () => {
    const next = await page(streamId, pages.at(-1)?.next ?? 0);
    pages.push(next);
    return next;
  };
  const looking = (async () => {
    while (!stopped) {
      await look();
      await sleep(looks[pages.length % looks.length] ?? 0);
    }
  })();
  // What goes wrong is for `pages()` to tell.
  looking.catch(() => {});
  return {
    /** All the pages that it was given, when it has walked to the end. */
    async pages() {
      stopped = true;
      await looking;
      let from: number | undefined;
      do from = pages.at(-1)?.next;
      while ((await look()).next !== from);
      return pages;
    },
  };
}

async function endFromOutside(
  { t, lib, abort, remove }: App,
  streamId: StreamId,
  { at, how }: NonNullable<Schedule["outside"]>,
): Promise<void> {
  await sleep(at);
  if (how === "abort") await abort(streamId);
  else if (how === "delete") await remove(streamId);
  else {
    await t.mutation((ctx) =>
      ctx.runMutation(lib.setStreamStatus, { streamId, status: how }),
    );
  }
}

/** What has come of a body when it closes, or when that takes unreasonably long. */
async function read(body: ReturnType<typeof readBody>) {
  await settled(Promise.race([body.whole, sleep(10 * MINUTE)]));
  return body.seen;
}

/** Carries a schedule out, to the last of what it has set going, and gives back what everybody saw. */
async function carryOut(schedule: Schedule) {
  const { flush, saves, outside, looks } = schedule;
  const app = setUp({ flush });
  const streamId = await app.create();
  const begin = Date.now();
  let stopped = () => false;
  let lastSave = 0;

  const writer = writerOf(schedule);
  const response = await app.respond(
    streamId,
    (append, signal) => {
      stopped = () => signal.aborted;
      return writer(append, signal);
    },
    ({ index, args }): Fault | undefined => {
      if (!("start" in args)) return undefined;
      lastSave = Date.now() - begin;
      const how = saves[index % saves.length];
      if (typeof how === "number") return sleep(how);
      return how === "prompt" ? undefined : how;
    },
  );
  const body = readBody(response);
  const resuming = readBody(await app.resume(streamId));
  const follower = follow(app, streamId, looks);
  const ending = outside && endFromOutside(app, streamId, outside);

  const http = await read(body);
  // Now, not later: on a deployment, whatever still runs is cut off.
  const saved = await app.body(streamId);
  const resumed = await read(resuming);
  await settled(Promise.resolve(ending));
  await app.finishScheduled();
  return {
    http,
    saved,
    resumed,
    resumedLate: async () => textOf(await app.resume(streamId)),
    pages: await settled(follower.pages()),
    chunks: await app.chunks(streamId),
    /** Whether the writer's signal has fired. */
    stopped: stopped(),
    /** Whether all was saved while resume() waits for the last words of a stream that was ended from outside. */
    inTime: outside === null || lastSave - outside.at < 5000,
  };
}

/** Where two texts part, null if they do not. The texts may be too long to be shown. */
function difference(text: string, expected: string): string | null {
  if (text === expected) return null;
  let at = 0;
  while (text[at] === expected[at]) at++;
  const [is, should] = [text, expected].map((all) =>
    JSON.stringify(all.slice(at, at + 30)),
  );
  return `at ${at} (${text.length} long for ${expected.length}): ${is} for ${should}`;
}

const startOf = (whole: string, { length }: string) => whole.slice(0, length);

test("whatever happens when, everybody has the same text, and all of it", async () => {
  errorsLogged();
  await fc.assert(
    fc.asyncProperty(schedules, async (schedule) => {
      // Of the schedule before; a writer that was stopped may still be at it.
      vi.clearAllTimers();
      const whole = joined(textsOf(schedule));
      const { http, resumed, pages, saved, chunks, ...was } =
        await carryOut(schedule);
      const { outside } = schedule;

      expect(http.closed, "the response ends").toBe(true);
      expect(resumed.closed, "the resumed response ends").toBe(true);

      let followed = "";
      for (const [i, page] of pages.entries()) {
        if (outside?.how === "delete" && page.status === "error") break;
        expect(page.from, "no gap").toBeLessThanOrEqual(followed.length);
        expect(page.next, "never back").toBeGreaterThanOrEqual(
          pages[i - 1]?.next ?? 0,
        );
        const known = followed.slice(page.from);
        expect(difference(startOf(page.text, known), known)).toBeNull();
        followed += page.text.slice(known.length);
      }

      if (outside?.how === "delete") {
        expect(chunks).toEqual([]);
        for (const text of [http.text, resumed.text, followed]) {
          expect(difference(text, startOf(whole, text))).toBeNull();
        }
        return;
      }

      expect(difference(http.text, saved.text), "HTTP").toBeNull();
      expect(difference(followed, saved.text), "follower").toBeNull();
      expect(
        difference(await was.resumedLate(), saved.text),
        "resume, when all is over",
      ).toBeNull();
      expect(
        difference(
          resumed.text,
          was.inTime ? saved.text : startOf(saved.text, resumed.text),
        ),
        "resume",
      ).toBeNull();

      const complete =
        !was.stopped || (saved.status === "done" && outside?.how !== "done");
      expect(
        difference(saved.text, complete ? whole : startOf(whole, saved.text)),
        "saved",
      ).toBeNull();
      if (!was.stopped) {
        expect(saved.status).toBe(schedule.throws ? "error" : "done");
      }
      const fewest = Math.ceil(saved.text.length / (64 * 1024));
      expect(chunks.length).toBeLessThanOrEqual(fewest + 1);
    }),
    {
      seed: 1,
      numRuns: 90,
      // What never ends is a failure, and is reported, with its schedule.
      timeout: 10_000,
      interruptAfterTimeLimit: 60_000,
      markInterruptAsFailure: true,
    },
  );
}, 90_000);
