import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { pass, settled, until, useClock } from "../../test/support/clock.js";
import {
  errorsLogged,
  readBody,
  setUpStream,
  writes,
} from "../../test/support/setup.js";
import { sleep } from "../time.js";
import type { BackgroundWriter, ChunkAppender } from "./index.js";

useClock();
afterEach(() => vi.restoreAllMocks());

/** Rejects when a signal fires, with its reason, as `fetch` does. */
function untilStopped(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error));
  });
}

describe("a writer that throws", () => {
  const error = new Error("The model broke off.");
  const nothing = undefined as unknown as Error;
  const writers: Record<string, [text: string, writer: BackgroundWriter]> = {
    "before it returns a promise": [
      "",
      () => {
        throw error;
      },
    ],
    "before its first token": ["", () => Promise.reject(error)],
    undefined: ["", () => Promise.reject(nothing)],
    "without awaiting what it appends": [
      "One. Two",
      (append) => {
        for (const text of ["One. ", "Two"]) void append(text);
        return Promise.reject(error);
      },
    ],
    "as a generator": [
      "One. Two",
      async function* () {
        yield "One. ";
        yield await Promise.resolve("Two");
        throw error;
      },
    ],
  };

  test.each(Object.entries(writers))(
    "%s: its text is saved, the status is error",
    async (when, [text, writer]) => {
      const thrown = when === "undefined" ? undefined : error;
      const app = await setUpStream();
      let signal: AbortSignal | undefined;
      let wasOpen: boolean | undefined;
      const logged = errorsLogged().mockImplementation(() => {
        wasOpen = !seen.closed;
      });
      const response = await app.respond((append, its) => {
        signal = its;
        return writer(append, its);
      });
      expect(response.status).toBe(200);
      const { seen } = readBody(response);
      expect(await seen.end()).toBe(text);
      expect(await app.body()).toEqual({ text, status: "error" });
      await pass(10_000);
      expect(signal?.aborted).toBe(false);
      expect(logged).toHaveBeenCalledExactlyOnceWith(
        `Stream ${app.streamId} ended with an error:`,
        thrown,
      );
      // The action ends with the body.
      expect(wasOpen).toBe(true);

      // The caller of generate gets the error, and reports it or not.
      const { generate, body } = await setUpStream();
      await expect(settled(generate(writer))).rejects.toBe(thrown);
      expect(await body()).toEqual({ text, status: "error" });
      expect(logged).toHaveBeenCalledOnce();
    },
  );
});

test("any async iterable is a writer; where it is stopped, it is told to return, and half a character is left out", async () => {
  const { stream, abort, body } = await setUpStream();
  const stuck = new Promise<never>(() => {});
  const next = vi.fn<() => Promise<IteratorResult<string>>>(() => stuck);
  next.mockResolvedValueOnce({ done: false, value: "So far. \uD83D" });
  const close = vi.fn(() => Promise.resolve({ done: true, value: "" }));
  const iterator = { next, return: close };
  const seen = await stream(() => ({ [Symbol.asyncIterator]: () => iterator }));
  await until(() => seen.text !== "");
  await abort();
  await pass(1500);
  expect(close).toHaveBeenCalledOnce();
  const text = "So far. ";
  expect(await seen.end()).toBe(text);
  expect(await body()).toEqual({ text, status: "aborted" });
});

describe("a stream that ends from outside during its writer's pause", () => {
  type App = Awaited<ReturnType<typeof setUpStream>>;
  const timeOut = ({ t, lib, streamId }: App) =>
    t.mutation(lib.setStreamStatus, { streamId, status: "timeout" });
  const endings = [
    { how: "was aborted", status: "aborted", end: (app: App) => app.abort() },
    { how: "was deleted", status: "error", end: (app: App) => app.remove() },
    { how: "has timed out", status: "timeout", end: timeOut },
  ];

  let logged: ReturnType<typeof errorsLogged>;
  beforeEach(() => {
    logged = errorsLogged();
  });
  afterEach(() => {
    // A writer that is stopped has not failed.
    expect(logged).not.toHaveBeenCalled();
  });

  test.each([
    ...endings.map((ending) => ({ ...ending, flush: {}, text: "So far. " })),
    // The next save is far away.
    { ...endings[0]!, flush: { maxDelayMs: 4000 }, text: "So far" },
  ])(
    "$how after $text: the signal fires within about a second, at any time",
    async ({ end, flush, text }) => {
      const silences = [0, 100, 400, 600, 950, 1700, 30_000];
      const starts = [0, 300, 600, 900];
      for (const [start, silence] of starts.flatMap((start) =>
        silences.map((silence) => [start, silence] as const),
      )) {
        const app = await setUpStream({ flush });
        let firedAt = Infinity;
        const seen = await app.stream(async (append, signal) => {
          await sleep(start);
          await append(text);
          signal.addEventListener("abort", () => (firedAt = Date.now()));
          await untilStopped(signal);
        });
        await pass(start + silence);
        const endedAt = Date.now();
        await end(app);
        await seen.end();
        expect(firedAt - endedAt).toBeLessThanOrEqual(1100);
      }
    },
  );

  test.each([
    ...endings,
    { how: "was stopped", status: "error", end: undefined },
  ])(
    "$how: save and release the claim, fire the signal once, reject appends, close the body",
    async ({ how, status, end }) => {
      const app = await setUpStream();
      const { streamId } = app;
      let broken = false;
      let signal: AbortSignal | undefined;
      let thrown: unknown;
      const events: unknown[] = [];
      const noteLastSave = async () => {
        await sleep(1);
        const saved = await app.t.query(app.lib.read, { streamId });
        events.push(saved && [saved.status, saved.draining]);
      };
      const seen = await app.stream(
        async (append, its) => {
          signal = its;
          signal.addEventListener("abort", () => {
            events.push("signal");
            append("Late.").catch(() => events.push("append rejects"));
          });
          await append("Saved. ");
          await sleep(1000);
          broken = end === undefined;
          try {
            for (;;) {
              await append("More ");
              await sleep(50);
            }
          } catch (error) {
            thrown = error;
            events.push("append rejects");
          }
          await sleep(3000);
          events.push("writer ends");
        },
        ({ args: { final } }) => {
          if (broken) return "refused";
          return final === undefined ? undefined : noteLastSave();
        },
      );
      await pass(1300);
      await end?.(app);
      await pass(10_000);
      broken = false;
      await seen.end();
      events.push("body closes");
      const isDeleted = how === "was deleted";
      expect(events).toEqual([
        ...(isDeleted ? [] : [[status, false]]),
        "signal",
        "append rejects",
        "append rejects",
        "writer ends",
        "body closes",
      ]);
      const text = isDeleted ? "" : seen.text;
      expect(await app.body()).toEqual({ text, status });
      expect(thrown).toBe(signal?.reason);
      const { name, message } = thrown as Error;
      const where = `Stream ${streamId} ${how} at character ${seen.text.length}`;
      if (end === undefined) {
        expect(message).toBe(`${where}: it cannot be saved.`);
        expect(logged).toHaveBeenCalledOnce();
        logged.mockClear();
      } else {
        expect(name).toBe("AbortError");
        expect(message).toBe(
          `${where}, so nothing more can be appended. Create a new stream to try again.`,
        );
      }
    },
  );

  test("a writer that ignores the signal holds up neither the response nor generate", async () => {
    const ignores = () => new Promise<void>(() => {});
    const [one, other] = [await setUpStream(), await setUpStream()];
    const seen = await one.stream(ignores);
    const generating = other.generate(ignores);
    await pass(100);
    await one.abort();
    await other.abort();
    await pass(10_000);
    expect(seen.closed).toBe(true);
    expect(await settled(generating)).toBe(true);
  });

  test.each([true, false])(
    "generate leaves no timer behind (aborted: %s)",
    async (isAborted) => {
      const { generate, abort } = await setUpStream();
      const generating = generate((append, signal) => {
        void append("Half a");
        return isAborted ? untilStopped(signal) : sleep(200);
      });
      await pass(100);
      if (isAborted) await abort();
      await settled(generating);
      // In Node, a timer would keep the action alive. The deployment has one to check
      // for dead streams, and one to close the stream in case its writer has died.
      expect(vi.getTimerCount()).toBeLessThanOrEqual(isAborted ? 2 : 1);
    },
  );
});

test("appends without await stay in order, and a large rest takes several commits", async () => {
  const { stream, body } = await setUpStream();
  const long = "long 😀 ".repeat(400_000);
  let longest = 0;
  const seen = await stream(
    (append) => {
      for (const text of ["first ", long, " last"]) void append(text);
      return Promise.resolve();
    },
    ({ args: { text = "" } }) => {
      longest = Math.max(longest, String(text).length);
      return undefined;
    },
  );
  const whole = `first ${long} last`;
  expect((await seen.end()) === whole).toBe(true);
  expect((await body()).text === whole).toBe(true);
  expect(longest).toBeLessThanOrEqual(1024 * 1024);
});

test("after the writer has returned, append is refused and the signal does not fire", async () => {
  const { generate, body } = await setUpStream();
  let append: ChunkAppender | undefined;
  let signal: AbortSignal | undefined;
  const generating = generate(async (...given) => {
    [append, signal] = given;
    await append("Text.");
  });
  await settled(generating);
  await expect(append?.("Late.")).rejects.toThrow(
    "has ended, so nothing more can be appended. Await each append",
  );
  expect((await body()).text).toBe("Text.");
  await pass(10_000);
  expect(signal?.aborted).toBe(false);
});

test("a last save that never succeeds is the error of generate", async () => {
  const { generate, body } = await setUpStream();
  const generating = generate(writes("Text."), ({ args }) =>
    "start" in args ? "refused" : undefined,
  );
  await expect(settled(generating)).rejects.toThrow("The commit was refused.");
  expect((await body()).status).toBe("pending");
});

test.each(["before the claim", "during the claim"])(
  "a client that leaves %s, before the response's head: the writing finishes first",
  async (when) => {
    const { streamId, act, streaming, body } = await setUpStream();
    const client = new AbortController();
    const { signal } = client;
    if (when === "before the claim") client.abort();
    const response = await settled(
      act((ctx) =>
        streaming.stream(
          ctx,
          new Request("https://app.test/stream", { method: "POST", signal }),
          streamId,
          async function* () {
            client.abort();
            yield "One. ";
            await sleep(5000);
            yield "Two";
          },
        ),
      ),
    );
    expect(await body()).toEqual({ text: "One. Two", status: "done" });
    expect(await response.text()).toBe("One. Two");
  },
);
