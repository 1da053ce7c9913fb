import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import * as arbitrary from "../../test/support/arbitraries.js";
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
  writes,
  type Fault,
  type Faults,
} from "../../test/support/setup.js";
import type { FlushOptions } from "./flush.js";

useClock();
afterEach(() => vi.restoreAllMocks());

const MINUTE = 60_000;
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Notes an action's saves as they begin. */
function watchSaves(faults: Faults = () => undefined) {
  const saves: { at: number; text: string; final: unknown }[] = [];
  const watched: Faults = (mutation) => {
    const { args } = mutation;
    if ("start" in args) {
      saves.push({
        at: Date.now(),
        text: String(args.text),
        final: args.final,
      });
    }
    return faults(mutation);
  };
  return { saves, faults: watched };
}

describe("exactly once", () => {
  /** A plan: for each mutation of the action in turn, how it goes. */
  const plans = fc.array(
    fc.constantFrom<"ok" | Fault>("ok", "ok", "refused", "lost"),
    { maxLength: 30 },
  );
  const byPlan =
    (plan: ("ok" | Fault)[]): Faults =>
    ({ index }) => {
      // Four failures in a row at most: more than that is another matter.
      const fault = index % 5 === 4 ? "ok" : (plan[index] ?? "ok");
      return fault === "ok" ? undefined : fault;
    };

  test("whatever commits fail, and however: the saved text is the appended text, once, in order", async () => {
    await fc.assert(
      fc.asyncProperty(
        arbitrary.tokens(60),
        plans,
        fc.constantFrom(0, 30, 400),
        fc.constantFrom("sentence" as const, "line" as const, {
          boundary: () => false,
          maxChars: 7,
        }),
        async (tokens, plan, every, flush) => {
          const { create, respond, body } = setUp({ flush });
          const streamId = await create();
          const response = await settled(
            respond(
              streamId,
              async (append) => {
                for (const token of tokens) {
                  await append(token);
                  if (every > 0) await sleep(every);
                }
              },
              byPlan(plan),
            ),
          );
          const text = tokens.join("");
          expect(await textOf(response)).toBe(text);
          expect(await body(streamId)).toEqual({ text, status: "done" });
        },
      ),
      { numRuns: 120 },
    );
  });

  test("a failed batch is sent again soon, with newer text, from the same offset", async () => {
    const { create, generate, body } = setUp();
    const streamId = await create();
    const starts: unknown[] = [];
    const times: number[] = [];
    await settled(
      generate(
        streamId,
        async (append) => {
          await append("One. ");
          await sleep(10);
          await append("Two");
          await sleep(1000);
        },
        ({ args }) => {
          if ("start" in args) {
            starts.push([args.start, args.text]);
            times.push(Date.now());
          }
          return starts.length === 1 ? "lost" : undefined;
        },
      ),
    );
    expect(starts).toEqual([
      [0, "One. "],
      [0, "One. Two"],
      [8, ""],
    ]);
    // Sooner than new text that no sentence ends.
    expect(times[1]! - times[0]!).toBeLessThan(900);
    expect((await body(streamId)).text).toBe("One. Two");
  });
});

describe("when saving keeps failing", () => {
  /** Every commit fails from the first text on, for as long as `broken()` says. */
  const brokenWhile =
    (broken: () => boolean): Faults =>
    ({ args }) =>
      "start" in args && broken() ? "refused" : undefined;

  async function brokenStream(broken: () => boolean) {
    const app = setUp();
    const logged = errorsLogged();
    const streamId = await app.create();
    const state = { firedAt: NaN, reason: undefined as unknown, tokens: 0 };
    const { saves, faults } = watchSaves(brokenWhile(broken));
    const response = await app.respond(
      streamId,
      async (append, signal) => {
        signal.addEventListener("abort", () => {
          state.firedAt = Date.now();
          state.reason = signal.reason;
        });
        for (;;) {
          await append(`${state.tokens}. `);
          state.tokens++;
          await sleep(100);
        }
      },
      faults,
    );
    const began = Date.now();
    return {
      ...app,
      streamId,
      state,
      saves,
      began,
      logged,
      ...readBody(response),
    };
  }

  test("after a few attempts no more text is accepted, and the reader keeps HTTP's text", async () => {
    const { state, seen, began, saves } = await brokenStream(() => true);
    await pass(15_000);
    const { tokens } = state;
    expect(tokens).toBeGreaterThan(30);
    expect(saves.length).toBeLessThanOrEqual(10);
    await until(() => seen.closed);
    expect(state.tokens).toBe(tokens);
    expect(seen.text).toContain(`${tokens - 1}. `);
    expect(state.firedAt - began).toBeGreaterThan(60_000);
    expect(String(state.reason)).toMatch(
      /was stopped at character \d+: it cannot be saved/,
    );
    expect((state.reason as Error).cause).toEqual(
      new Error("The commit was refused."),
    );
  });

  test("the status is error, with all the text, as soon as a commit works again, and then the signal fires", async () => {
    let broken = true;
    const app = await brokenStream(() => broken);
    await pass(26_000);
    expect((await app.body(app.streamId)).status).toBe("pending");
    expect(app.state.firedAt).toBeNaN();
    broken = false;
    await until(() => app.seen.closed);
    expect(app.state.firedAt).not.toBeNaN();
    expect(await app.body(app.streamId)).toEqual({
      text: app.seen.text,
      status: "error",
    });
    expect(app.logged).toHaveBeenCalledOnce();
  });

  test("the attempts end, with one error logged", async () => {
    const app = await brokenStream(() => true);
    await until(() => app.seen.closed);
    expect(Date.now() - app.began).toBeLessThan(3 * MINUTE);
    expect(app.saves.length).toBeLessThan(30);
    expect(app.logged).toHaveBeenCalledOnce();
  });

  test("a writer that has ended by itself is done as soon as a commit works again", async () => {
    const { create, respond, body } = setUp();
    const streamId = await create();
    const began = Date.now();
    const response = await respond(
      streamId,
      writes("One. ", "Two"),
      brokenWhile(() => Date.now() - began < 30_000),
    );
    expect(await textOf(response)).toBe("One. Two");
    expect(await body(streamId)).toEqual({ text: "One. Two", status: "done" });
  });

  test("generate rejects with the reason", async () => {
    const { create, generate } = setUp();
    const generating = generate(
      await create(),
      writes("One. "),
      brokenWhile(() => true),
    );
    await expect(settled(generating)).rejects.toThrow(
      "The commit was refused.",
    );
  });
});

describe("append", () => {
  test("does not wait for a commit", async () => {
    const { create, respond, body } = setUp();
    const streamId = await create();
    const commit = deferred();
    let appended = 0;
    const { saves, faults } = watchSaves(({ args }) =>
      "start" in args ? commit.promise : undefined,
    );
    const response = await respond(
      streamId,
      async (append) => {
        for (let i = 0; i < 5000; i++) {
          await append(`Sentence ${i}. `);
          appended++;
        }
      },
      faults,
    );
    const { seen } = readBody(response);
    await pass(0);
    expect(appended).toBe(5000);
    expect(seen.text).toContain("Sentence 4999.");
    // The first is on its way still; nothing else has been sent.
    expect(saves).toHaveLength(1);
    commit.resolve();
    await until(() => seen.closed);
    expect(await body(streamId)).toEqual({ text: seen.text, status: "done" });
  });

  test("waits once about 1 MiB is unsaved, and continues when some of it is saved", async () => {
    const { create, generate, body } = setUp();
    const streamId = await create();
    const commit = deferred();
    const piece = "x".repeat(10_000);
    let appended = 0;
    const generating = generate(
      streamId,
      async (append) => {
        for (let i = 0; i < 300; i++) {
          await append(piece);
          appended++;
        }
      },
      ({ args }) => ("start" in args ? commit.promise : undefined),
    );
    await pass(60_000);
    expect(appended).toBeGreaterThan(90);
    expect(appended).toBeLessThan(120);
    commit.resolve();
    await settled(generating);
    expect(appended).toBe(300);
    expect((await body(streamId)).text).toHaveLength(3_000_000);
  });

  test("waits for room until the stream is aborted, and rejects then", async () => {
    const { create, generate, abort } = setUp();
    const streamId = await create();
    const commit = deferred();
    let rejected: unknown;
    const generating = generate(
      streamId,
      async (append) => {
        await append("One. ");
        await append("x".repeat(2_000_000)).catch((error: unknown) => {
          rejected = error;
        });
      },
      ({ args }) => (args.text === "One. " ? commit.promise : undefined),
    );
    await pass(100);
    await abort(streamId);
    expect(rejected).toBeUndefined();
    commit.resolve();
    await settled(generating);
    expect(String(rejected)).toContain("was aborted");
  });

  test("does not wait forever under a policy that never asks for a save", async () => {
    const { create, generate, body } = setUp({
      flush: {
        boundary: () => false,
        maxChars: Infinity,
        maxDelayMs: Infinity,
      },
    });
    const streamId = await create();
    await settled(
      generate(streamId, async (append) => {
        for (let i = 0; i < 30; i++) await append("x".repeat(100_000));
      }),
    );
    expect((await body(streamId)).text).toHaveLength(3_000_000);
  });

  test("of nothing does nothing", async () => {
    const { create, generate } = setUp();
    const { saves, faults } = watchSaves();
    await settled(
      generate(
        await create(),
        async (append) => {
          for (let i = 0; i < 100; i++) {
            await append("");
            await sleep(20);
          }
        },
        faults,
      ),
    );
    expect(saves).toEqual([{ at: saves[0]?.at, text: "", final: "done" }]);
  });
});

describe("when text is saved", () => {
  /** What is saved of these appends, `[ms to wait, text]`, before the writer ends; times are since the first append. */
  async function savesOf(
    flush: Parameters<typeof setUp>[0],
    appends: [number, string][],
  ) {
    const { create, generate } = setUp(flush);
    const streamId = await create();
    const { saves, faults } = watchSaves();
    let began = 0;
    await settled(
      generate(
        streamId,
        async (append) => {
          began = Date.now();
          for (const [wait, text] of appends) {
            await sleep(wait);
            await append(text);
          }
          await sleep(5 * MINUTE - 1000);
        },
        faults,
      ),
    );
    return saves
      .filter(({ final, text }) => final === undefined && text !== "")
      .map(({ at, text }) => [at - began, text] as const);
  }

  test.each<{
    when: string;
    flush?: "line" | FlushOptions;
    appends: [number, string][];
    saves: [number, string][];
  }>([
    {
      when: "at the end of a sentence",
      appends: [
        [0, "A sen"],
        [100, "tence. And"],
        [500, " 又一句。"],
      ],
      saves: [
        [100, "A sentence. And"],
        [600, " 又一句。"],
      ],
    },
    {
      when: "after a second at the latest, even if nothing more is appended",
      appends: [[0, "no boundary"]],
      saves: [[1000, "no boundary"]],
    },
    {
      when: "by the age of the oldest character",
      appends: [
        [0, "a"],
        [300, "b"],
        [600, "c"],
        [300, "d"],
      ],
      saves: [
        [1000, "abc"],
        [2200, "d"],
      ],
    },
    {
      when: "as soon as there are 1,000 characters",
      appends: [
        [0, "x".repeat(999)],
        [10, "y"],
      ],
      saves: [[10, "x".repeat(999) + "y"]],
    },
    {
      when: "in whole lines, and half a one not before the end",
      flush: "line",
      appends: [
        [0, '{"a": 1}\n{"b'],
        [500, '": 2}\n'],
        [500, "{"],
        [5000, '"c": 3}'],
      ],
      saves: [
        [0, '{"a": 1}\n'],
        [500, '{"b": 2}\n'],
      ],
    },
    {
      when: "where the app's function says so",
      flush: { boundary: (text) => text.endsWith(";") },
      appends: [
        [0, "one. two"],
        [100, ";"],
        [300, "three;"],
      ],
      saves: [
        [100, "one. two;"],
        [500, "three;"],
      ],
    },
    {
      when: "at maxChars and maxDelayMs of the app's own",
      flush: { boundary: () => false, maxChars: 10, maxDelayMs: 3000 },
      appends: [
        [0, "123456789"],
        [50, "0"],
        [500, "abc"],
      ],
      saves: [
        [50, "1234567890"],
        [3550, "abc"],
      ],
    },
  ])("$when", async ({ flush, appends, saves }) => {
    expect(await savesOf({ flush }, appends)).toEqual(saves);
  });

  test.each([-1000, -30_000, -60 * MINUTE])(
    "a second later at the most when the clock is set back by %d ms",
    async (jump) => {
      const { create, generate, body } = setUp();
      const streamId = await create();
      const { promise: ended, resolve: end } = deferred();
      const generating = generate(streamId, async (append) => {
        await append("A sentence. ");
        await sleep(100);
        vi.setSystemTime(Date.now() + jump);
        await append("Another. ");
        await sleep(1000);
        await append("And half of");
        vi.setSystemTime(Date.now() + jump);
        await ended;
      });
      await pass(600);
      expect((await body(streamId)).text).toBe("A sentence. Another. ");
      // It was set back in the middle of a second, which begins again.
      await pass(2600);
      expect((await body(streamId)).text).toBe(
        "A sentence. Another. And half of",
      );
      end();
      await settled(generating);
    },
  );

  test("whole lines, also of more text than one commit takes", async () => {
    const line = "x".repeat(300_000) + "\n";
    const saves = await savesOf({ flush: "line" }, [
      [0, line.repeat(6) + "y".repeat(1_200_000) + "\nz"],
    ]);
    expect(saves.map(([, text]) => text.length)).toEqual([
      // Three lines are as many as 1 Mi code units hold.
      900_003,
      900_003,
      // A line that is longer comes in pieces.
      1024 * 1024,
      1_200_001 - 1024 * 1024,
    ]);
  });

  test("a fast writer's commits keep a distance", async () => {
    const saves = await savesOf(
      {},
      Array.from({ length: 400 }, (_, i) => [5, `${i}. `]),
    );
    expect(saves.length).toBeLessThanOrEqual(10);
    const times = saves.map(([at]) => Number(at));
    expect(Math.max(...times)).toBeLessThan(2500);
  });

  test.each([0, 5000])(
    "a boundary function that throws, %d ms after the first append, ends the stream in error, with its text",
    async (wait) => {
      const { create, respond, body } = setUp({
        flush: {
          boundary: (text) => {
            if (text.includes("b")) throw new Error("Not a good function.");
            return false;
          },
        },
      });
      const logged = errorsLogged();
      const streamId = await create();
      const response = await respond(streamId, async (append, signal) => {
        void append("a");
        if (wait > 0) await sleep(wait);
        void append("b");
        await new Promise((resolve) =>
          signal.aborted
            ? resolve(null)
            : signal.addEventListener("abort", resolve),
        );
      });
      const { seen } = readBody(response);
      await until(() => seen.closed);
      expect(await body(streamId)).toEqual({ text: "ab", status: "error" });
      expect(logged).toHaveBeenCalledOnce();
      const error = logged.mock.calls[0]?.[1] as Error;
      expect(error.message).toContain("its flush boundary threw");
      expect(error.cause).toEqual(new Error("Not a good function."));
    },
  );

  test("a boundary function that throws at once stops a writer that does not look", async () => {
    const { create, respond } = setUp({
      flush: {
        boundary: () => {
          throw new Error("Not a good function.");
        },
      },
    });
    errorsLogged();
    const response = await respond(await create(), async (append) => {
      void append("a");
      await new Promise(() => {});
    });
    const { seen } = readBody(response);
    await until(() => seen.closed);
  });
});

describe("what it costs", () => {
  test("one commit is in flight at a time, and takes all that has gathered", async () => {
    for (const latency of [1, 50, 700, 5000]) {
      const { create, generate, body } = setUp();
      const streamId = await create();
      let inFlight = 0;
      let most = 0;
      const { saves, faults } = watchSaves(({ args }) => {
        if (!("start" in args)) return undefined;
        most = Math.max(most, ++inFlight);
        return sleep(latency).then(() => void inFlight--);
      });
      await settled(
        generate(
          streamId,
          async (append) => {
            for (let i = 0; i < 500; i++) {
              await append(`${i}. `);
              await sleep(20);
            }
          },
          faults,
        ),
      );
      expect(most).toBe(1);
      expect(saves.length).toBeLessThan(Math.max(4, 12_000 / latency));
      expect(saves.length).toBeLessThan(50);
      expect((await body(streamId)).status).toBe("done");
    }
  });

  /** Notes when each timer's time will have come. On a deployment one that is cleared runs on until then. */
  function watchTimers() {
    const fake = globalThis.setTimeout;
    const ends: number[] = [];
    globalThis.setTimeout = ((callback: () => void, ms = 0) => {
      ends.push(Date.now() + ms);
      return fake(callback, ms);
    }) as typeof setTimeout;
    return {
      set: () => ends.length,
      running: () => ends.filter((end) => end > Date.now()).length,
      unwatchedSleep: (ms: number) =>
        new Promise<void>((resolve) => fake(resolve, ms)),
      stop: () => void (globalThis.setTimeout = fake),
    };
  }

  test.each([
    { flush: "sentence" as const },
    { flush: { maxDelayMs: 60 * MINUTE } },
    { flush: { maxDelayMs: 2 ** 40 } },
  ])(
    "few timers run at a time, however many tokens there are ($flush)",
    async (options) => {
      const { create, generate, body } = setUp(options);
      const streamId = await create();
      const timers = watchTimers();
      let most = 0;
      const { saves, faults } = watchSaves(({ args }) =>
        "start" in args ? timers.unwatchedSleep(30) : undefined,
      );
      await settled(
        generate(
          streamId,
          async (append) => {
            for (let i = 0; i < 9000; i++) {
              await append(i % 75 === 74 ? `${i}. ` : `${i} `);
              most = Math.max(most, timers.running());
              if (i % 3 === 0) await timers.unwatchedSleep(20);
            }
          },
          faults,
        ),
      );
      timers.stop();
      expect((await body(streamId)).status).toBe("done");
      expect(saves.length).toBeGreaterThan(20);
      expect(timers.set()).toBeLessThan(4 * saves.length);
      expect(most).toBeLessThan(60);
    },
  );

  test("a steady text without boundaries asks for the status hardly ever: its commits tell", async () => {
    const { create, act, streaming, body } = setUp();
    const streamId = await create();
    let queries = 0;
    let mutations = 0;
    await settled(
      act((ctx) =>
        streaming.generate(
          {
            runQuery: (query, ...args) => {
              queries++;
              return ctx.runQuery(query, ...args);
            },
            runMutation: (mutation, ...args) => {
              mutations++;
              return ctx.runMutation(mutation, ...args);
            },
          },
          streamId,
          async (append) => {
            for (let i = 0; i < 1000; i++) {
              await append(`${i} `);
              await sleep(30);
            }
          },
        ),
      ),
    );
    expect((await body(streamId)).status).toBe("done");
    expect(mutations).toBeLessThan(35);
    expect(queries).toBeLessThan(5);
  });
});
