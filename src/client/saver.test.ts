import fc from "fast-check";
import { afterEach, describe, expect, test, vi } from "vitest";
import * as arbitrary from "../../test/support/arbitraries.js";
import { deferred, pass, settled, useClock } from "../../test/support/clock.js";
import {
  errorsLogged,
  fired,
  setUpStream,
  type Fault,
  type Faults,
} from "../../test/support/setup.js";
import { sleep } from "../time.js";
import type { FlushOptions } from "./flush.js";

useClock();
afterEach(() => vi.restoreAllMocks());

const MINUTE = 60_000;

/** Records an action's saves as they begin. */
function watchSaves(onSave: Faults = () => undefined) {
  const saves: {
    at: number;
    start: unknown;
    text: string;
    final: unknown;
  }[] = [];
  const faults: Faults = (mutation) => {
    const { start, text, final } = mutation.args;
    if (start === undefined) return undefined;
    saves.push({ at: Date.now(), start, text: String(text), final });
    return onSave(mutation);
  };
  return { saves, faults };
}

describe("exactly once", () => {
  /** How each of the action's mutations goes, in turn. */
  const plans = fc.array(
    fc.constantFrom<"ok" | Fault>("ok", "ok", "refused", "lost"),
    { maxLength: 30 },
  );
  const byPlan =
    (plan: ("ok" | Fault)[]): Faults =>
    ({ index }) => {
      // At most four failures in a row: more would stop the writer.
      const fault = index % 5 === 4 ? "ok" : (plan[index] ?? "ok");
      return fault === "ok" ? undefined : fault;
    };

  test("whichever commits fail, the saved text is the appended text, once, in order", async () => {
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
          const { stream, body } = await setUpStream({ flush });
          const writing = stream(async (append) => {
            for (const token of tokens) {
              await append(token);
              if (every > 0) await sleep(every);
            }
          }, byPlan(plan));
          const text = tokens.join("");
          expect(await (await settled(writing)).end()).toBe(text);
          expect(await body()).toEqual({ text, status: "done" });
        },
      ),
    );
  });

  test("a failed batch is sent again soon, with newer text, from the same offset", async () => {
    const { generate, body } = await setUpStream();
    const { saves, faults } = watchSaves(() =>
      saves.length === 1 ? "lost" : undefined,
    );
    const generating = generate(async (append) => {
      await append("One. ");
      await sleep(10);
      await append("Two");
      await sleep(1000);
    }, faults);
    await settled(generating);
    expect(saves).toMatchObject([
      { start: 0, text: "One. " },
      { start: 0, text: "One. Two" },
      { start: 8, text: "" },
    ]);
    // Sooner than new text without a sentence end.
    expect(saves[1]!.at - saves[0]!.at).toBeLessThan(900);
    expect((await body()).text).toBe("One. Two");
  });
});

describe("when saving keeps failing", () => {
  const brokenWhile = (broken: () => boolean) =>
    watchSaves(() => (broken() ? "refused" : undefined));

  async function brokenStream(broken: () => boolean) {
    const app = await setUpStream();
    const logged = errorsLogged();
    const state = { firedAt: NaN, reason: undefined as unknown, tokens: 0 };
    const { saves, faults } = brokenWhile(broken);
    const began = Date.now();
    const seen = await app.stream(async (append, signal) => {
      signal.addEventListener("abort", () => {
        state.firedAt = Date.now();
        state.reason = signal.reason;
      });
      for (;;) {
        await append(`${state.tokens}. `);
        state.tokens++;
        await sleep(100);
      }
    }, faults);
    return { ...app, state, saves, began, logged, seen };
  }

  test("after a few attempts no more text is accepted, later the attempts end, with one error logged", async () => {
    const { state, seen, began, saves, logged } = await brokenStream(
      () => true,
    );
    await pass(15_000);
    const { tokens } = state;
    expect(tokens).toBeGreaterThan(30);
    expect(saves.length).toBeLessThanOrEqual(10);
    // The reader keeps what arrived over HTTP.
    expect(await seen.end()).toContain(`${tokens - 1}. `);
    expect(Date.now() - began).toBeLessThan(3 * MINUTE);
    expect(saves).toHaveLength(22);
    expect(state.tokens).toBe(tokens);
    expect(state.firedAt - began).toBeGreaterThan(60_000);
    expect(String(state.reason)).toMatch(
      /was stopped at character \d+: it cannot be saved/,
    );
    expect((state.reason as Error).cause).toEqual(
      new Error("The commit was refused."),
    );
    expect(logged).toHaveBeenCalledOnce();
  });

  test.each([
    ["error", "if nothing else ended the stream"],
    ["aborted", "if it was stopped meanwhile"],
  ])(
    "once a commit works again, the status is %s, with all the text, and then the signal fires: %s",
    async (status) => {
      let broken = true;
      const { state, seen, body, abort, logged } = await brokenStream(
        () => broken,
      );
      await pass(26_000);
      expect((await body()).status).toBe("pending");
      expect(state.firedAt).toBeNaN();
      if (status === "aborted") await abort();
      broken = false;
      const text = await seen.end();
      expect(state.firedAt).not.toBeNaN();
      expect(String(state.reason)).toContain("it cannot be saved");
      expect(await body()).toEqual({ text, status });
      expect(logged).toHaveBeenCalledOnce();
    },
  );

  test("generate rejects with the reason, and an append that waits for room too", async () => {
    const { generate } = await setUpStream();
    const { faults } = brokenWhile(() => true);
    let rejected: unknown;
    const generating = generate(async (append) => {
      rejected = await append("x".repeat(2_000_000)).catch(
        (error: unknown) => error,
      );
    }, faults);
    await expect(settled(generating)).rejects.toThrow("it cannot be saved");
    expect(String(rejected)).toContain("it cannot be saved");
  });
});

describe("append", () => {
  test("does not wait for a commit", async () => {
    const { stream, body } = await setUpStream();
    const commit = deferred();
    let appended = 0;
    const { saves, faults } = watchSaves(() => commit.promise);
    const seen = await stream(async (append) => {
      for (let i = 0; i < 5000; i++) {
        await append(`Sentence ${i}. `);
        appended++;
      }
    }, faults);
    await pass(0);
    expect(appended).toBe(5000);
    expect(seen.text).toContain("Sentence 4999.");
    // The first save is still in flight, and it is the only one.
    expect(saves).toHaveLength(1);
    commit.resolve();
    const text = await seen.end();
    expect(await body()).toEqual({ text, status: "done" });
  });

  test("waits once about 1 MiB is unsaved, and continues when some of it is saved", async () => {
    const { generate, body } = await setUpStream();
    const commit = deferred();
    const piece = "x".repeat(10_000);
    let appended = 0;
    const generating = generate(
      async (append) => {
        for (let i = 0; i < 300; i++) {
          await append(piece);
          appended++;
        }
      },
      watchSaves(() => commit.promise).faults,
    );
    await pass(60_000);
    expect(appended).toBeGreaterThan(90);
    expect(appended).toBeLessThan(120);
    commit.resolve();
    await settled(generating);
    expect(appended).toBe(300);
    expect((await body()).text).toHaveLength(3_000_000);
  });

  test("waits for room until the stream is aborted, and rejects then", async () => {
    const { generate, abort } = await setUpStream();
    const commit = deferred();
    let rejected: unknown;
    const generating = generate(
      async (append) => {
        await append("One. ");
        await append("x".repeat(2_000_000)).catch((error: unknown) => {
          rejected = error;
        });
      },
      ({ args }) => (args.text === "One. " ? commit.promise : undefined),
    );
    await pass(100);
    await abort();
    expect(rejected).toBeUndefined();
    commit.resolve();
    await settled(generating);
    expect(String(rejected)).toContain("was aborted");
  });

  test("does not wait forever under a policy that never asks for a save", async () => {
    const never = { maxChars: Infinity, maxDelayMs: Infinity };
    const flush = { boundary: () => false, ...never };
    const { write, body } = await setUpStream({ flush });
    await write(...Array<string>(30).fill("x".repeat(100_000)));
    expect((await body()).text).toHaveLength(3_000_000);
  });
});

describe("when text is saved", () => {
  /** The saves of these appends, `[ms to wait, text]`, before the writer ends. Times are since the first append. */
  async function savesOf(
    flush: "line" | FlushOptions | undefined,
    appends: [number, string][],
    latency = 0,
  ) {
    const { generate } = await setUpStream({ flush });
    const { saves, faults } = watchSaves(() =>
      latency > 0 ? sleep(latency) : undefined,
    );
    let began = 0;
    const generating = generate(async (append) => {
      began = Date.now();
      for (const [wait, text] of appends) {
        await sleep(wait);
        await append(text);
      }
      await sleep(5 * MINUTE - 1000);
    }, faults);
    await settled(generating);
    return saves
      .filter(({ final, text }) => final === undefined && text !== "")
      .map(({ at, text }) => [at - began, text] as const);
  }

  test.each<{
    when: string;
    flush?: "line" | FlushOptions;
    appends: [number, string][];
    saves: [number, string][];
    latency?: number;
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
      when: "by its age, if it arrives during a save",
      latency: 600,
      appends: [
        [0, "One. "],
        [300, "x"],
      ],
      saves: [
        [0, "One. "],
        [1300, "x"],
      ],
    },
    {
      when: "as if nothing had been appended, after an empty string",
      appends: [
        [0, ""],
        [900, "no boundary"],
      ],
      saves: [[1900, "no boundary"]],
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
      when: "in whole lines, and half a line only at the end",
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
  ])("$when", async ({ flush, appends, saves, latency }) => {
    expect(await savesOf(flush, appends, latency)).toEqual(saves);
  });

  test.each([-1000, -30_000, -60 * MINUTE])(
    "at most a second later when the clock is set back by %d ms",
    async (jump) => {
      const { generate, body } = await setUpStream();
      const { promise: ended, resolve: end } = deferred();
      const generating = generate(async (append) => {
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
      expect((await body()).text).toBe("A sentence. Another. ");
      // The clock was set back within a second, which begins again.
      await pass(2600);
      expect((await body()).text).toBe("A sentence. Another. And half of");
      end();
      await settled(generating);
    },
  );

  test("in whole lines, even if there is more text than one commit takes", async () => {
    const line = "x".repeat(300_000) + "\n";
    const saves = await savesOf("line", [
      [0, line.repeat(6) + "y".repeat(1_200_000) + "\nz"],
    ]);
    expect(saves.map(([, text]) => text.length)).toEqual([
      // Three lines fit into 1 Mi code units.
      900_003,
      900_003,
      // A longer line is cut.
      1024 * 1024,
      1_200_001 - 1024 * 1024,
    ]);
    const [first] = await savesOf(undefined, [[0, line.repeat(6)]]);
    expect(first?.[1]).toHaveLength(1024 * 1024);
  });

  test.each([
    { throws: "at once", wait: 0, text: "ab" },
    { throws: "in a timer", wait: 5000, text: "ab" },
    { throws: "at once, and the writer ignores it", wait: NaN, text: "b" },
  ])(
    "a boundary function that throws $throws ends the stream in error, with its text",
    async ({ wait, text }) => {
      const thrown = new Error("Not a good function.");
      const boundary = (text: string) => {
        if (text.includes("b")) throw thrown;
        return false;
      };
      const { stream, body } = await setUpStream({ flush: { boundary } });
      const logged = errorsLogged();
      const seen = await stream(async (append, signal) => {
        if (text === "ab") void append("a");
        if (wait > 0) await sleep(wait);
        void append("b");
        await (isNaN(wait) ? new Promise<void>(() => {}) : fired(signal));
      });
      await seen.end();
      expect(await body()).toEqual({ text, status: "error" });
      expect(logged).toHaveBeenCalledOnce();
      const error = logged.mock.calls[0]?.[1] as Error;
      expect(error.message).toContain("its flush boundary threw");
      expect(error.cause).toBe(thrown);
    },
  );
});

describe("what it costs", () => {
  test("one commit is in flight at a time, and takes all the text there is", async () => {
    for (const latency of [1, 50, 700, 5000]) {
      const { generate, body } = await setUpStream();
      let inFlight = 0;
      let most = 0;
      const { saves, faults } = watchSaves(() => {
        most = Math.max(most, ++inFlight);
        return sleep(latency).then(() => void inFlight--);
      });
      const generating = generate(async (append) => {
        for (let i = 0; i < 500; i++) {
          await append(`${i}. `);
          await sleep(20);
        }
      }, faults);
      await settled(generating);
      expect(most).toBe(1);
      expect(saves.length).toBeLessThan(Math.max(4, 12_000 / latency));
      expect(saves.length).toBeLessThan(50);
      expect((await body()).status).toBe("done");
    }
  });

  /** Records when each timer's time is up: on a deployment, a cleared timer runs on until then. */
  function watchTimers() {
    const fake = globalThis.setTimeout;
    const ends: number[] = [];
    const spy = vi.spyOn(globalThis, "setTimeout");
    spy.mockImplementation((callback: () => void, ms = 0) => {
      ends.push(Date.now() + ms);
      return fake(callback, ms);
    });
    return {
      set: () => ends.length,
      running: () => ends.filter((end) => end > Date.now()).length,
      unwatchedSleep: (ms: number) =>
        new Promise<void>((resolve) => fake(resolve, ms)),
      stop: () => spy.mockRestore(),
    };
  }

  test.each([
    { flush: "sentence" as const },
    { flush: { maxDelayMs: 60 * MINUTE } },
    { flush: { maxDelayMs: 2 ** 40 } },
  ])(
    "few timers run at a time, however many tokens there are ($flush)",
    async (options) => {
      const { generate, body } = await setUpStream(options);
      const timers = watchTimers();
      let most = 0;
      const { saves, faults } = watchSaves(() => timers.unwatchedSleep(30));
      const generating = generate(async (append) => {
        for (let i = 0; i < 9000; i++) {
          await append(i % 75 === 74 ? `${i}. ` : `${i} `);
          most = Math.max(most, timers.running());
          if (i % 3 === 0) await timers.unwatchedSleep(20);
        }
      }, faults);
      await settled(generating);
      timers.stop();
      expect((await body()).status).toBe("done");
      expect(saves.length).toBeGreaterThan(20);
      expect(timers.set()).toBeLessThan(4 * saves.length);
      expect(most).toBeLessThan(60);
    },
  );

  test.each([
    { of: "tokens", text: " ", latency: 0 },
    { of: "sentences", text: ". ", latency: 0 },
    { of: "sentences, saved slowly", text: ". ", latency: 3000 },
  ])(
    "a steady text of $of rarely asks for the status: its commits bring it",
    async ({ text, latency }) => {
      const { act, metered, streaming, streamId, body } = await setUpStream();
      const cost = { queries: 0, mutations: 0, documents: 0 };
      const writing = act(
        (ctx) =>
          streaming.generate(
            metered(ctx, cost).ctx,
            streamId,
            async (append) => {
              for (let i = 0; i < 1000; i++) {
                await append(`${i}${text}`);
                await sleep(30);
              }
            },
          ),
        () => (latency > 0 ? sleep(latency) : undefined),
      );
      await settled(writing);
      expect((await body()).status).toBe("done");
      expect(cost.mutations).toBeLessThan(text === " " ? 35 : 80);
      expect(cost.queries).toBeLessThan(5);
    },
  );

  test.each([1000, 120_000])(
    "a silent writer shows at least four signs of life in a timeoutMs of %i",
    async (timeoutMs) => {
      const { generate } = await setUpStream({ timeoutMs });
      const { saves, faults } = watchSaves();
      await settled(generate(() => sleep(10 * timeoutMs), faults));
      expect(saves.length).toBeGreaterThan(40);
      expect(saves.length).toBeLessThanOrEqual(51);
    },
  );
});
