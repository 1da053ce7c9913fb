import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import {
  deferred,
  pass,
  settled,
  until,
  useClock,
} from "../../test/support/clock.js";
import {
  errorsLogged,
  readBody,
  setUpStream,
} from "../../test/support/setup.js";
import { sleep } from "../time.js";
import { Body } from "./responses.js";
import { claim } from "./claim.js";
import { flushPolicy } from "./flush.js";
import type { BackgroundWriter, ChunkAppender } from "./index.js";
import { write } from "./write.js";

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
  const writers: [string, string, BackgroundWriter][] = [
    [
      "before it returns a promise",
      "",
      () => {
        throw error;
      },
    ],
    ["before its first token", "", () => Promise.reject(error)],
    [
      "undefined",
      "",
      async () => {
        await Promise.resolve();
        throw undefined as unknown;
      },
    ],
    [
      "in mid-sentence, with text that is not saved yet",
      "One. Half a sen",
      async (append) => {
        await append("One. ");
        await append("Half a sen");
        throw error;
      },
    ],
    [
      "after a pause",
      "One. ",
      async (append) => {
        await append("One. ");
        await sleep(3000);
        throw error;
      },
    ],
    [
      "without awaiting what it appends",
      "One. Two",
      async (append) => {
        void append("One. ");
        void append("Two");
        await Promise.reject(error);
      },
    ],
    [
      "as a generator",
      "One. Two",
      async function* () {
        yield "One. ";
        await Promise.resolve();
        yield "Two";
        throw error;
      },
    ],
  ];

  test.each(writers)(
    "%s: its text is saved, the status is error",
    async (when, text, writer) => {
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

describe("generator writers", () => {
  test("any async iterable will do, as the streams of model SDKs are", async () => {
    const { stream } = await setUpStream();
    const tokens = new ReadableStream<string>({
      start(controller) {
        for (const token of ["One. ", "Two"]) controller.enqueue(token);
        controller.close();
      },
    });
    const seen = await stream(() => tokens);
    expect(await seen.end()).toBe("One. Two");
  });

  test("a writer that is stuck on its next token is told to return", async () => {
    const { stream, abort, body } = await setUpStream();
    const returned = vi.fn(() =>
      Promise.resolve({ done: true as const, value: undefined }),
    );
    const tokens = ["So far. "];
    const seen = await stream(() => ({
      [Symbol.asyncIterator]: () => ({
        next: () => {
          const value = tokens.shift();
          return value === undefined
            ? new Promise<never>(() => {})
            : Promise.resolve({ done: false as const, value });
        },
        return: returned,
      }),
    }));
    await until(() => seen.text !== "");
    await abort();
    await pass(1500);
    expect(returned).toHaveBeenCalled();
    await seen.end();
    expect(await body()).toEqual({ text: "So far. ", status: "aborted" });
  });

  test("a writer that keeps yielding after an abort reaches its finally", async () => {
    const { stream, abort } = await setUpStream();
    let cleanedUp = false;
    const seen = await stream(async function* () {
      try {
        for (;;) {
          yield "More. ";
          await sleep(100);
        }
      } finally {
        cleanedUp = true;
      }
    });
    await until(() => seen.text.length > 20);
    await abort();
    await seen.end();
    expect(cleanedUp).toBe(true);
  });
});

describe("a stream that ends from outside during its writer's pause", () => {
  type App = Awaited<ReturnType<typeof setUpStream>>;
  const endings = [
    {
      how: "aborted",
      status: "aborted",
      reason: "was aborted",
      end: ({ abort }: App) => abort(),
    },
    {
      how: "deleted",
      status: "error",
      reason: "was deleted",
      end: ({ remove }: App) => remove(),
    },
    {
      how: "timed out",
      status: "timeout",
      reason: "has timed out",
      end: ({ t, lib, streamId }: App) =>
        t.mutation(lib.setStreamStatus, { streamId, status: "timeout" }),
    },
  ] as const;

  let logged: ReturnType<typeof errorsLogged>;
  beforeEach(() => {
    logged = errorsLogged();
  });
  afterEach(() => {
    // A writer that is stopped has not failed.
    expect(logged).not.toHaveBeenCalled();
  });

  test.each([
    ...endings.map((ending) => ({ ...ending, flush: {}, and: "" })),
    // The next save is far away.
    { ...endings[0], flush: { maxDelayMs: 4000 }, and: " with unsaved text" },
  ])(
    "$how$and: the signal fires within about a second, at any time",
    async ({ end, flush, and }) => {
      const silences = [0, 100, 400, 600, 950, 1700, 30_000];
      const starts = [0, 300, 600, 900];
      for (const [start, silence] of starts.flatMap((start) =>
        silences.map((silence) => [start, silence] as const),
      )) {
        const app = await setUpStream({ flush });
        let firedAt = Infinity;
        const seen = await app.stream(async (append, signal) => {
          await sleep(start);
          await append(and === "" ? "So far. " : "So far");
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
    {
      how: "cannot be saved",
      status: "error",
      reason: "was stopped",
      end: undefined,
    },
  ] as const)(
    "$how: save and release the claim, fire the signal once, reject appends, close the body",
    async ({ how, status, reason, end }) => {
      const app = await setUpStream();
      const { streamId } = app;
      let broken = false;
      let signal: AbortSignal | undefined;
      let thrown: unknown;
      const events: unknown[] = [];
      const response = await app.act((ctx) =>
        app.streaming.stream(
          {
            ...ctx,
            runMutation: async (mutation, ...args) => {
              if (broken) throw new Error("The commit was refused.");
              const answer: unknown = await ctx.runMutation(mutation, ...args);
              const { final } = args[0] as { final?: string };
              if (final !== undefined) {
                const saved = await ctx.runQuery(app.lib.read, { streamId });
                events.push({ answer, draining: saved?.draining });
              }
              return answer as never;
            },
          },
          new Request("https://app.test/stream", { method: "POST" }),
          streamId,
          async (_ctx, _request, _streamId, append, its) => {
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
        ),
      );
      const { seen } = readBody(response);
      await pass(1300);
      await end?.(app);
      await pass(10_000);
      broken = false;
      await seen.end();
      events.push("body closes");
      expect(events).toEqual([
        ...(how === "deleted" ? [] : [{ answer: status, draining: false }]),
        "signal",
        "append rejects",
        "append rejects",
        "writer ends",
        "body closes",
      ]);
      const text = how === "deleted" ? "" : seen.text;
      expect(await app.body()).toEqual({ text, status });
      expect(thrown).toBe(signal?.reason);
      const { name, message } = thrown as Error;
      const where = `Stream ${streamId} ${reason} at character ${seen.text.length}`;
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

  test.each([true, false])(
    "everything appended before the signal is saved, even without a boundary (awaits: %s)",
    async (awaits) => {
      for (const every of [1, 7, 90, 240]) {
        const { stream, abort, body } = await setUpStream();
        const seen = await stream(async (append) => {
          for (let i = 0; i < 10_000 / every; i++) {
            const appended = append(`${i} 😀 `);
            if (awaits) await appended;
            await sleep(every);
          }
        });
        await pass(1777);
        await abort();
        const text = await seen.end();
        expect(await body()).toEqual({ text, status: "aborted" });
        // Vitest reports an unhandled rejection as a failure.
        await pass(10_000);
      }
    },
  );

  test("a large rest is saved too, in several commits", async () => {
    const { generate, abort, body } = await setUpStream();
    const large = "中文 ".repeat(700_000);
    const first = deferred();
    let longest = 0;
    const generating = generate(
      async (append, signal) => {
        void append("One. ");
        void append(large);
        await untilStopped(signal);
      },
      ({ args: { text = "" } }) => {
        longest = Math.max(longest, String(text).length);
        return text === "One. " ? first.promise : undefined;
      },
    );
    await pass(10);
    await abort();
    first.resolve();
    await settled(generating);
    expect(longest).toBeLessThanOrEqual(1024 * 1024);
    const { text, status } = await body();
    expect(text === "One. " + large).toBe(true);
    expect(status).toBe("aborted");
  });

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

  test("the signal fires as soon when the clock is set back", async () => {
    const { generate, abort } = await setUpStream();
    let stopped = false;
    const generating = generate((_append, signal) => {
      signal.addEventListener("abort", () => (stopped = true));
      return untilStopped(signal);
    });
    await pass(500);
    vi.setSystemTime(Date.now() - 30_000);
    await abort();
    await pass(2100);
    expect(stopped).toBe(true);
    await settled(generating);
  });
});

describe("characters", () => {
  test("half a character is left out where the stream is stopped", async () => {
    const { stream, abort, body } = await setUpStream();
    const seen = await stream(async (append, signal) => {
      await append("So far. \uD83D");
      await untilStopped(signal);
    });
    await pass(100);
    await abort();
    expect(await seen.end()).toBe("So far. ");
    expect((await body()).text).toBe("So far. ");
  });

  test("appends without await stay in order, even long ones", async () => {
    const { stream, body } = await setUpStream();
    const long = "long 😀 ".repeat(400_000);
    const seen = await stream(async (append) => {
      const appends = [append("first "), append(long), append(" last")];
      await Promise.all(appends);
    });
    const whole = `first ${long} last`;
    expect((await seen.end()) === whole).toBe(true);
    expect((await body()).text === whole).toBe(true);
  });
});

test("past the limit of a response, the database gets everything", async () => {
  const { streamId, act, lib, body: saved } = await setUpStream();
  const body = new Body({ limit: 12 });
  const writing = act(async (ctx) => {
    const claimed = await claim(lib, ctx, streamId, 120_000);
    if (!("stream" in claimed)) throw new Error("It is claimed.");
    return write(
      streamId,
      claimed.stream,
      flushPolicy(),
      body,
      async (append) => {
        for (const text of ["中文。", "😀", "a long rest. ", "b"]) {
          await append(text);
        }
      },
    );
  });
  expect(await settled(writing)).toEqual({});
  body.close();
  expect(await new Response(body.stream).text()).toBe("中文。");
  expect(await saved()).toEqual({
    text: "中文。😀a long rest. b",
    status: "done",
  });
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
