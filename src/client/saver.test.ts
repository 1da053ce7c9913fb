import { afterEach, describe, expect, test, vi } from "vitest";
import { deferred, pass, settled, useClock } from "../../test/support/clock.js";
import {
  errorsLogged,
  fired,
  setUpStream,
  type Faults,
} from "../../test/support/setup.js";
import { sleep } from "../time.js";
import type { FlushOptions } from "./flush.js";
import type { BackgroundWriter } from "./index.js";

useClock();
afterEach(() => vi.restoreAllMocks());

const MINUTE_MS = 60_000;

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

describe("when saving keeps failing", () => {
  async function brokenStream() {
    const app = await setUpStream();
    const logged = errorsLogged();
    const state = {
      broken: true,
      began: Date.now(),
      tokens: 0,
      firedAt: NaN,
      reason: new Error(),
    };
    const { saves, faults } = watchSaves(() =>
      state.broken ? "refused" : undefined,
    );
    const seen = await app.stream(async (append, signal) => {
      signal.addEventListener("abort", () => {
        state.firedAt = Date.now();
        state.reason = signal.reason as Error;
      });
      for (; ; state.tokens++) {
        await append(`${state.tokens}. `);
        await sleep(100);
      }
    }, faults);
    return { ...app, state, saves, logged, seen };
  }

  test("after a few attempts no more text is accepted, later the attempts end, with one error logged", async () => {
    const { state, seen, saves, logged } = await brokenStream();
    await pass(15_000);
    const { began, tokens } = state;
    expect(tokens).toBeGreaterThan(30);
    expect(saves.length).toBeLessThanOrEqual(10);
    // The reader keeps what arrived over HTTP.
    expect(await seen.end()).toContain(`${tokens - 1}. `);
    expect(Date.now() - began).toBeLessThan(3 * MINUTE_MS);
    expect(saves).toHaveLength(22);
    expect(state.tokens).toBe(tokens);
    expect(state.firedAt - began).toBeGreaterThan(60_000);
    expect(state.reason.message).toMatch(
      /at character \d+: it cannot be saved/,
    );
    expect(state.reason.cause).toEqual(new Error("The commit was refused."));
    expect(logged).toHaveBeenCalledOnce();
  });

  test("and the stream is aborted meanwhile, that is its status, with all the text, once a commit works again", async () => {
    const { state, seen, body, abort, logged } = await brokenStream();
    await pass(26_000);
    expect((await body()).status).toBe("pending");
    await abort();
    expect(state.firedAt).toBeNaN();
    state.broken = false;
    const text = await seen.end();
    expect(state.reason.message).toContain("it cannot be saved");
    expect(await body()).toEqual({ text, status: "aborted" });
    expect(logged).toHaveBeenCalledOnce();
  });
});

describe("append waits while more than 1 MiB is unsaved", () => {
  test.each([
    { until: "some of it is saved", error: "" },
    { until: "the stream is aborted", error: "was aborted" },
    { until: "saving is given up", error: "it cannot be saved" },
  ])("until $until", async ({ error }) => {
    const { generate, abort, body } = await setUpStream();
    const commit = deferred();
    const fault = error === "it cannot be saved" ? "refused" : commit.promise;
    let appended = 0;
    let thrown = "";
    const generating = generate(
      async (append) => {
        try {
          for (; appended < 300; appended++) await append("x".repeat(10_000));
        } catch (error) {
          thrown = String(error);
        }
      },
      watchSaves(() => fault).faults,
    );
    await pass(5000);
    expect(appended).toBe(104);
    if (error === "was aborted") await abort();
    expect(thrown).toBe("");
    commit.resolve();
    const rejected = await settled(generating).then(() => "", String);
    expect(thrown).toContain(error);
    expect(rejected).toBe(fault === "refused" ? thrown : "");
    const { text } = await body();
    if (error === "") expect(text).toHaveLength(3_000_000);
  });

  test("even under a policy that never asks for a save", async () => {
    const never = { maxChars: Infinity, maxDelayMs: Infinity };
    const flush = { boundary: () => false, ...never };
    const { write, body } = await setUpStream({ flush });
    await write(...Array<string>(30).fill("x".repeat(100_000)));
    expect((await body()).text).toHaveLength(3_000_000);
  });
});

describe("text is saved", () => {
  type Timeline = Record<number, string>;

  /** The saves of these appends before the writer ends. Times (ms) are since the writer began. */
  async function savesOf(
    flush: "line" | FlushOptions | undefined,
    appends: Timeline,
    latency = 0,
  ) {
    const { generate } = await setUpStream({ flush });
    const { saves, faults } = watchSaves(() =>
      latency > 0 ? sleep(latency) : undefined,
    );
    let began = 0;
    const generating = generate(async (append) => {
      began = Date.now();
      for (const [at, text] of Object.entries(appends)) {
        await sleep(began + Number(at) - Date.now());
        await append(text);
      }
      await sleep(5 * MINUTE_MS);
    }, faults);
    await settled(generating);
    return saves
      .filter(({ final, text }) => final === undefined && text !== "")
      .map(({ at, text }) => [at - began, text] as const);
  }

  test.each<{
    when: string;
    flush?: "line" | FlushOptions;
    appends: Timeline;
    saves: Timeline;
    latency?: number;
  }>([
    {
      when: "at the end of a sentence",
      appends: { 0: "A sen", 100: "tence. And", 600: " 又一句。" },
      saves: { 100: "A sentence. And", 600: " 又一句。" },
    },
    {
      when: "after a second at the latest, even if nothing more is appended",
      appends: { 0: "no boundary" },
      saves: { 1000: "no boundary" },
    },
    {
      when: "by the age of the oldest character",
      appends: { 0: "a", 300: "b", 900: "c", 1200: "d" },
      saves: { 1000: "abc", 2200: "d" },
    },
    {
      when: "by its age, if it arrives during a save",
      latency: 600,
      appends: { 0: "One. ", 300: "x" },
      saves: { 0: "One. ", 1300: "x" },
    },
    {
      when: "as if nothing had been appended, after an empty string",
      appends: { 0: "", 900: "no boundary" },
      saves: { 1900: "no boundary" },
    },
    {
      when: "as soon as there are 1,000 characters",
      appends: { 0: "x".repeat(999), 10: "y" },
      saves: { 10: "x".repeat(999) + "y" },
    },
    {
      when: "in whole lines, and half a line only at the end",
      flush: "line",
      appends: { 0: "{1}\n{", 500: "2}\n", 1000: "{", 6000: "3}" },
      saves: { 0: "{1}\n", 500: "{2}\n" },
    },
    {
      when: "where the app's function says so",
      flush: { boundary: (text) => text.endsWith(";") },
      appends: { 0: "one. two", 100: ";", 400: "three;" },
      saves: { 100: "one. two;", 500: "three;" },
    },
  ])("$when", async ({ flush, appends, saves, latency }) => {
    const saved = await savesOf(flush, appends, latency);
    expect(Object.fromEntries(saved)).toEqual(saves);
  });

  test.each([-1000, -30_000, -60 * MINUTE_MS])(
    "at most a second later when the clock is set back by %d ms, and a stop is noticed",
    async (jump) => {
      const { generate, body, abort } = await setUpStream();
      let stopped = false;
      const generating = generate(async (append, signal) => {
        await append("A sentence. ");
        await sleep(100);
        vi.setSystemTime(Date.now() + jump);
        await append("Another. ");
        await sleep(1000);
        await append("And half of");
        vi.setSystemTime(Date.now() + jump);
        await fired(signal);
        stopped = true;
      });
      await pass(600);
      expect((await body()).text).toBe("A sentence. Another. ");
      // The clock was set back within a second, which begins again.
      await pass(2600);
      expect((await body()).text).toBe("A sentence. Another. And half of");
      vi.setSystemTime(Date.now() + jump);
      await abort();
      await pass(2100);
      expect(stopped).toBe(true);
      await settled(generating);
    },
  );

  test("in whole lines, even if there is more text than one commit takes", async () => {
    const line = "x".repeat(300_000) + "\n";
    const text = line.repeat(6) + "y".repeat(1_200_000) + "\nz";
    const saves = await savesOf("line", { 0: text });
    expect(saves.map(([, text]) => text.length)).toEqual([
      // Three lines fit into 1 Mi code units.
      900_003,
      900_003,
      // A longer line is cut.
      1024 * 1024,
      1_200_001 - 1024 * 1024,
    ]);
    const [first] = await savesOf(undefined, { 0: text });
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
  test.each([1, 50, 700, 5000])(
    "one commit is in flight at a time, takes all the text there is, and no append waits for it (%i ms)",
    async (latency) => {
      const { generate, body } = await setUpStream();
      let inFlight = 0;
      let most = 0;
      const { saves, faults } = watchSaves(() => {
        most = Math.max(most, ++inFlight);
        return sleep(latency).then(() => void inFlight--);
      });
      let tookMs = NaN;
      const generating = generate(async (append) => {
        const began = Date.now();
        for (let i = 0; i < 500; i++) {
          await append(`${i}. `);
          await sleep(20);
        }
        tookMs = Date.now() - began;
      }, faults);
      await settled(generating);
      expect(most).toBe(1);
      expect(tookMs).toBe(500 * 20);
      expect(saves.length).toBeLessThan(Math.max(4, 12_000 / latency));
      expect(saves.length).toBeLessThan(50);
      expect((await body()).status).toBe("done");
    },
  );

  test.each([
    { flush: "sentence" as const },
    { flush: { maxDelayMs: 2 ** 40 } },
  ])(
    "few timers are set, and none for long, however many tokens there are ($flush)",
    async (options) => {
      const { generate } = await setUpStream(options);
      const timers = vi.spyOn(globalThis, "setTimeout");
      const { saves, faults } = watchSaves();
      const generating = generate(async (append) => {
        for (let i = 0; i < 6000; i++) {
          await append(i % 75 === 74 ? `${i}. ` : `${i} `);
          if (i % 6 === 0) await sleep(40);
        }
      }, faults);
      await settled(generating);
      expect(saves.length).toBeGreaterThan(20);
      // 1,000 of them are the writer's. On a deployment, a cleared one runs on.
      expect(timers.mock.calls.length - 1000).toBeLessThan(4 * saves.length);
      const times = timers.mock.calls.map(([, ms = 0]) => ms);
      expect(Math.max(...times)).toBeLessThanOrEqual(10_000);
    },
  );

  test.each([
    { of: "tokens", text: " ", latency: 0, saves: 35 },
    { of: "sentences", text: ". ", latency: 0, saves: 80 },
    { of: "sentences, saved slowly", text: ". ", latency: 3000, saves: 80 },
  ])(
    "a steady text of $of rarely asks for the status: its commits bring it",
    async ({ text, latency, saves }) => {
      const { act, metered, streaming, streamId, body } = await setUpStream();
      const cost = { queries: 0, mutations: 0, documents: 0 };
      const writer: BackgroundWriter = async (append) => {
        for (let i = 0; i < 1000; i++) {
          await append(`${i}${text}`);
          await sleep(30);
        }
      };
      const writing = act(
        (ctx) => streaming.generate(metered(ctx, cost), streamId, writer),
        () => (latency > 0 ? sleep(latency) : undefined),
      );
      await settled(writing);
      expect((await body()).status).toBe("done");
      expect(cost.mutations).toBeLessThan(saves);
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
