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
  setUp,
  textOf,
} from "../../test/support/setup.js";
import { Body } from "./responses.js";
import { claim } from "./claim.js";
import { flushPolicy } from "./flush.js";
import type { BackgroundWriter, ChunkAppender } from "./index.js";
import { write } from "./write.js";

useClock();
afterEach(() => vi.restoreAllMocks());

const pause = (ms: number) =>
  new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Never ends by itself, but when its signal fires it rejects with the reason, as `fetch` does. */
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
      "half way, with text that is not saved yet",
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
        await pause(3000);
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
    "%s: its text is saved, the status is error, the error is logged once",
    async (_, text, writer) => {
      const { create, respond, body } = setUp();
      const logged = errorsLogged();
      const streamId = await create();
      const response = await respond(streamId, writer);
      expect(response.status).toBe(200);
      expect(await textOf(response)).toBe(text);
      expect(await body(streamId)).toEqual({ text, status: "error" });
      expect(logged).toHaveBeenCalledExactlyOnceWith(
        `Stream ${streamId} ended with an error:`,
        error,
      );
    },
  );

  test("undefined has failed all the same", async () => {
    const { create, respond, generate, body } = setUp();
    const logged = errorsLogged();
    const fails = async () => {
      await Promise.resolve();
      throw undefined as unknown;
    };
    const streamId = await create();
    await textOf(await respond(streamId, fails));
    expect((await body(streamId)).status).toBe("error");
    expect(logged).toHaveBeenCalledOnce();
    const other = await create();
    const generating = settled(generate(other, fails));
    await expect(generating).rejects.toBeUndefined();
    expect((await body(other)).status).toBe("error");
  });

  test("is logged before the body closes: the action ends with it", async () => {
    const { create, respond } = setUp();
    let closed = false;
    let loggedFirst = false;
    errorsLogged().mockImplementation(() => (loggedFirst = !closed));
    const response = await respond(await create(), () => Promise.reject(error));
    const { seen, whole } = readBody(response);
    void whole.then(() => (closed = true));
    await until(() => seen.closed);
    expect(loggedFirst).toBe(true);
  });
});

describe("generator writers", () => {
  test("any async iterable will do, as the streams of model SDKs are", async () => {
    const { create, respond } = setUp();
    const stream = new ReadableStream<string>({
      start(controller) {
        for (const token of ["One. ", "Two"]) controller.enqueue(token);
        controller.close();
      },
    });
    const response = await respond(await create(), () => stream);
    expect(await textOf(response)).toBe("One. Two");
  });

  test("a writer that is stuck on its next token is told to return", async () => {
    const { create, respond, abort, body } = setUp();
    const streamId = await create();
    const returned = vi.fn(() =>
      Promise.resolve({ done: true as const, value: undefined }),
    );
    const tokens = ["So far. "];
    const response = await respond(streamId, () => ({
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
    const { seen } = readBody(response);
    await until(() => seen.text !== "");
    await abort(streamId);
    await pass(1500);
    expect(returned).toHaveBeenCalled();
    await until(() => seen.closed);
    expect(await body(streamId)).toEqual({
      text: "So far. ",
      status: "aborted",
    });
  });

  test("a writer that keeps yielding after an abort reaches its finally", async () => {
    const { create, respond, abort } = setUp();
    const streamId = await create();
    let cleanedUp = false;
    const response = await respond(streamId, async function* () {
      try {
        for (;;) {
          yield "More. ";
          await pause(100);
        }
      } finally {
        cleanedUp = true;
      }
    });
    const { seen } = readBody(response);
    await until(() => seen.text.length > 20);
    await abort(streamId);
    await until(() => seen.closed);
    expect(cleanedUp).toBe(true);
  });
});

describe("a stream that ends from outside while its writer is in a pause", () => {
  const endings = [
    { how: "aborted", status: "aborted", reason: "was aborted" },
    { how: "deleted", status: "error", reason: "was deleted" },
    { how: "timed out", status: "timeout", reason: "has timed out" },
  ] as const;

  async function end(
    app: ReturnType<typeof setUp>,
    streamId: Awaited<ReturnType<typeof app.create>>,
    how: (typeof endings)[number]["how"],
  ) {
    if (how === "aborted") await app.abort(streamId);
    else if (how === "deleted") await app.remove(streamId);
    else {
      await app.t.mutation(app.lib.setStreamStatus, {
        streamId,
        status: "timeout",
      });
    }
  }

  let logged: ReturnType<typeof errorsLogged>;
  beforeEach(() => {
    logged = errorsLogged();
  });
  afterEach(() => {
    // Being stopped is no failure.
    expect(logged).not.toHaveBeenCalled();
  });

  test.each(endings)(
    "$how: the signal fires within about a second, whenever it happens",
    async ({ how }) => {
      const silences = [0, 100, 400, 600, 950, 1700, 30_000];
      const starts = [0, 300, 600, 900];
      for (const [start, silence] of starts.flatMap((start) =>
        silences.map((silence) => [start, silence] as const),
      )) {
        const app = setUp();
        const streamId = await app.create();
        let firedAt = Infinity;
        const response = await app.respond(streamId, async (append, signal) => {
          await pause(start);
          await append("So far. ");
          signal.addEventListener("abort", () => (firedAt = Date.now()));
          await untilStopped(signal);
        });
        const { seen } = readBody(response);
        await pass(start + silence);
        const endedAt = Date.now();
        await end(app, streamId, how);
        await until(() => seen.closed);
        expect(firedAt - endedAt).toBeLessThanOrEqual(1100);
      }
    },
  );

  test.each(endings)(
    "$how: append rejects with the signal's reason, an error that says why",
    async ({ how, reason }) => {
      const app = setUp();
      const streamId = await app.create();
      let signal: AbortSignal | undefined;
      let thrown: unknown;
      const response = await app.respond(streamId, async (append, s) => {
        signal = s;
        try {
          for (;;) {
            await append("More. ");
            await pause(100);
          }
        } catch (error) {
          thrown = error;
          throw error;
        }
      });
      const { seen } = readBody(response);
      await pass(2000);
      await end(app, streamId, how);
      await until(() => seen.closed);
      expect(thrown).toBeInstanceOf(Error);
      expect(thrown).toBe(signal?.reason);
      expect((thrown as Error).name).toBe("AbortError");
      const { message } = thrown as Error;
      expect(message).toMatch(`Stream ${streamId} ${reason}`);
      expect(message).toMatch(
        `at character ${seen.text.length}, so nothing more can be appended. Create a new stream to try again.`,
      );
    },
  );

  test.each([
    ...endings,
    { how: "cannot be saved", status: "error", reason: "cannot be saved" },
  ] as const)(
    "$how: save and release the claim, fire the signal once, reject appends, close the body",
    async ({ how, status, reason }) => {
      const app = setUp();
      const streamId = await app.create();
      let broken = false;
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
          async (_ctx, _request, _streamId, append, signal) => {
            signal.addEventListener("abort", () => {
              events.push("signal", String(signal.reason));
              append("Late.").catch(() => events.push("append rejects"));
            });
            await append("Saved. ");
            await pause(1000);
            broken = how === "cannot be saved";
            try {
              for (;;) {
                await append("More ");
                await pause(50);
              }
            } catch {
              events.push("append rejects");
            }
            await pause(3000);
            events.push("writer ends");
          },
        ),
      );
      const { seen } = readBody(response);
      await pass(1300);
      if (how !== "cannot be saved") await end(app, streamId, how);
      await pass(10_000);
      broken = false;
      await until(() => seen.closed);
      events.push("body closes");
      expect(events).toEqual(
        [
          how === "deleted" ? undefined : { answer: status, draining: false },
          "signal",
          expect.stringContaining(reason),
          "append rejects",
          "append rejects",
          "writer ends",
          "body closes",
        ].filter((event) => event !== undefined),
      );
      const text = how === "deleted" ? "" : seen.text;
      expect(await app.body(streamId)).toEqual({ text, status });
      if (how === "cannot be saved") expect(logged).toHaveBeenCalledOnce();
      logged.mockClear();
    },
  );

  test("everything appended before the signal is saved, tokens without a boundary too", async () => {
    for (const every of [1, 7, 90, 240]) {
      const { create, respond, abort, body } = setUp();
      const streamId = await create();
      const response = await respond(streamId, async (append) => {
        for (let i = 0; ; i++) {
          await append(`${i} 😀 `);
          await pause(every);
        }
      });
      const { seen } = readBody(response);
      await pass(1777);
      await abort(streamId);
      await until(() => seen.closed);
      expect(await body(streamId)).toEqual({
        text: seen.text,
        status: "aborted",
      });
    }
  });

  test("a large rest is saved too, in several commits", async () => {
    const { create, generate, abort, body } = setUp();
    const streamId = await create();
    const large = "中文 ".repeat(700_000);
    const first = deferred();
    const generating = generate(
      streamId,
      async (append, signal) => {
        void append("One. ");
        void append(large);
        await untilStopped(signal);
      },
      ({ args }) => (args.text === "One. " ? first.promise : undefined),
    );
    await pass(10);
    await abort(streamId);
    first.resolve();
    await settled(generating);
    const { text, status } = await body(streamId);
    expect(text === "One. " + large).toBe(true);
    expect(status).toBe("aborted");
  });

  test("a writer that ignores the signal keeps neither the response open nor generate from resolving", async () => {
    const { create, respond, generate, abort } = setUp();
    const [one, other] = [await create(), await create()];
    const ignores = () => new Promise<void>(() => {});
    const { seen } = readBody(await respond(one, ignores));
    const generating = generate(other, ignores);
    await pass(100);
    await abort(one);
    await abort(other);
    await pass(10_000);
    expect(seen.closed).toBe(true);
    expect(await settled(generating)).toBe(true);
  });

  test("no timer is left of a generate that has resolved", async () => {
    const { create, generate, abort } = setUp();
    const streamId = await create();
    const generating = generate(streamId, (_append, signal) =>
      untilStopped(signal),
    );
    await pass(100);
    await abort(streamId);
    await settled(generating);
    // In Node, a timer would keep the action alive. Two are the deployment's: one
    // will close the stream, in case its writer has died, one look for the dead.
    expect(vi.getTimerCount()).toBe(2);
  });

  test("the signal fires as soon, also when the clock is set back", async () => {
    const { create, generate, abort } = setUp();
    const streamId = await create();
    let stopped = false;
    const generating = generate(streamId, (_append, signal) => {
      signal.addEventListener("abort", () => (stopped = true));
      return untilStopped(signal);
    });
    await pass(500);
    vi.setSystemTime(Date.now() - 30_000);
    await abort(streamId);
    await pass(2100);
    expect(stopped).toBe(true);
    await settled(generating);
  });

  test("appends without await reject quietly", async () => {
    const { create, respond, abort, body } = setUp();
    const streamId = await create();
    const response = await respond(streamId, async (append) => {
      for (let i = 0; i < 60; i++) {
        void append(`${i}. `);
        await pause(100);
      }
    });
    const { seen } = readBody(response);
    await pass(1000);
    await abort(streamId);
    await until(() => seen.closed);
    // Vitest reports an unhandled rejection as a failure.
    await pass(10_000);
    expect(await body(streamId)).toEqual({
      text: seen.text,
      status: "aborted",
    });
  });
});

describe("the signal", () => {
  test("does not fire when the writer ends by itself", async () => {
    for (const end of ["returns", "throws"]) {
      const { create, respond } = setUp();
      errorsLogged();
      let signal: AbortSignal | undefined;
      const response = await respond(await create(), async (append, s) => {
        signal = s;
        await append("Text. ");
        if (end === "throws") throw new Error("The model broke off.");
      });
      await textOf(response);
      await pass(10_000);
      expect(signal?.aborted).toBe(false);
    }
  });

  test("an abort at the moment when the writer ends changes nothing or everything", async () => {
    for (let delay = 0; delay <= 60; delay += 5) {
      const { create, respond, abort, body } = setUp();
      const streamId = await create();
      const response = await respond(
        streamId,
        async (append) => {
          await append("One. ");
          await pause(20);
          await append("Two");
        },
        ({ args }) => ("start" in args ? pause(15) : undefined),
      );
      const { seen } = readBody(response);
      await pass(delay);
      await abort(streamId);
      await until(() => seen.closed);
      const { text, status } = await body(streamId);
      expect(text).toBe(seen.text);
      expect(["done", "aborted"]).toContain(status);
      if (status === "done") expect(text).toBe("One. Two");
    }
  });
});

describe("characters", () => {
  test("half a character is left out where the stream is stopped", async () => {
    const { create, respond, abort, body } = setUp();
    const streamId = await create();
    const response = await respond(streamId, async (append, signal) => {
      await append("So far. \uD83D");
      await untilStopped(signal);
    });
    const { seen } = readBody(response);
    await pass(100);
    await abort(streamId);
    await until(() => seen.closed);
    expect(seen.text).toBe("So far. ");
    expect((await body(streamId)).text).toBe("So far. ");
  });

  test("appends without await stay in order, long ones too", async () => {
    const { create, respond, body } = setUp();
    const streamId = await create();
    const long = "long 😀 ".repeat(400_000);
    const response = await respond(streamId, async (append) => {
      const appends = [append("first "), append(long), append(" last")];
      await Promise.all(appends);
    });
    const whole = `first ${long} last`;
    expect((await textOf(response)) === whole).toBe(true);
    expect((await body(streamId)).text === whole).toBe(true);
  });
});

test("past the limit of a response, the database gets everything", async () => {
  const { create, act, lib, body: saved } = setUp();
  const streamId = await create();
  const body = new Body({ limit: 12 });
  const writing = act(async (ctx) => {
    const claimed = await claim(lib, ctx, streamId, 120_000);
    if (!("stream" in claimed)) throw new Error("Somebody else claimed it.");
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
  expect(await saved(streamId)).toEqual({
    text: "中文。😀a long rest. b",
    status: "done",
  });
});

test("append after the writer has ended is refused", async () => {
  const { create, generate, body } = setUp();
  const streamId = await create();
  let append: ChunkAppender | undefined;
  await settled(
    generate(streamId, async (a) => {
      append = a;
      await a("Text.");
    }),
  );
  await expect(append?.("Late.")).rejects.toThrow(
    "has ended, so nothing more can be appended. Await each append",
  );
  expect((await body(streamId)).text).toBe("Text.");
});

test.each(["before the claim", "during the claim"])(
  "a client that goes %s, before the response's head: the writing finishes first",
  async (when) => {
    const { create, act, streaming, body } = setUp();
    const streamId = await create();
    const client = new AbortController();
    if (when === "before the claim") client.abort();
    const response = await settled(
      act((ctx) =>
        streaming.stream(
          ctx,
          new Request("https://app.test/stream", {
            method: "POST",
            signal: client.signal,
          }),
          streamId,
          async function* () {
            client.abort();
            yield "One. ";
            await pause(5000);
            yield "Two";
          },
        ),
      ),
    );
    expect(await body(streamId)).toEqual({ text: "One. Two", status: "done" });
    expect(await response.text()).toBe("One. Two");
  },
);
