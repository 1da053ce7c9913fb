import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { useClock } from "../support/clock.js";
import { setUpComponent } from "../support/component.js";
import { api, internal } from "../../src/component/_generated/api.js";

// Invalid arguments get an error that explains them, and what is saved stays.

useClock();

const anything = (value: unknown) => value as never;

async function setUpWithStreams() {
  const setup = setUpComponent();
  const claimed = await setup.create();
  await setup.claim(claimed);
  await setup.append(claimed, 0, "Saved.");
  const pending = await setup.create();
  const streaming = await setup.create();
  await setup.add(streaming, "Saved, too.");
  const tables = () =>
    setup.t.run(async (ctx) => ({
      streams: await ctx.db.query("streams").collect(),
      chunks: await ctx.db.query("chunks").collect(),
      jobs: await ctx.db.system.query("_scheduled_functions").collect(),
    }));
  return { ...setup, claimed, pending, streaming, tables };
}

let setup: Awaited<ReturnType<typeof setUpWithStreams>>;
let before: Awaited<ReturnType<typeof setup.tables>>;
beforeEach(async () => {
  setup = await setUpWithStreams();
  before = await setup.tables();
});
afterEach(async () => {
  expect(await setup.tables()).toEqual(before);
});

type Call = (id: unknown, more?: object) => Promise<unknown>;
type Lib = typeof api.lib;
const mutation =
  (name: keyof Lib, args: object = {}): Call =>
  (streamId, more) =>
    setup.t.mutation(
      api.lib[name] as Lib["abort"],
      anything({ streamId, ...args, ...more }),
    );
const query =
  (name: keyof Lib): Call =>
  (streamId, more) =>
    setup.t.query(
      api.lib[name] as Lib["tail"],
      anything({ streamId, ...more }),
    );

/** Each function that takes a stream's id, with valid arguments. */
const functions = {
  claim: mutation("claim", { writer: "another" }),
  append: mutation("append", { writer: "writer", start: 6, text: "x" }),
  addChunk: mutation("addChunk", { text: "x", final: false }),
  setStreamStatus: mutation("setStreamStatus", { status: "done" }),
  abort: mutation("abort"),
  deleteStream: mutation("deleteStream"),
  getStreamStatus: query("getStreamStatus"),
  getStreamText: query("getStreamText"),
  read: query("read"),
  tail: query("tail"),
};
type Name = keyof typeof functions;
const names = Object.keys(functions) as Name[];

/** The answers about a missing stream. The other functions throw. */
const answers: Partial<Record<Name, unknown>> = {
  claim: { claimed: false, status: null },
  abort: null,
  getStreamStatus: "error",
  read: null,
  tail: null,
};

describe.each(names)("%s", (name) => {
  const call = functions[name];

  test.each([undefined, null, 7, true, {}, [], 7n, new ArrayBuffer(1)])(
    "refuses %s as an id",
    async (id) => {
      await expect(call(id)).rejects.toThrow(/[Vv]alidat|streamId/);
    },
  );

  test.each([
    ["an empty string", ""],
    ["a foreign string", "k57 or so"],
    ["a zero byte", "\0"],
    ["1 MB", "x".repeat(1_000_000)],
  ])("finds no stream named by %s", async (_, id) => {
    if (name in answers) expect(await call(id)).toEqual(answers[name]);
    else await expect(call(id)).rejects.toThrow("Expected ID");
  });

  test("finds no stream named by the id of a chunk, or of a stream that is gone", async () => {
    const [chunk] = await setup.chunks(setup.claimed);
    const gone = await setup.create();
    await setup.t.run((ctx) => ctx.db.delete(gone));
    for (const id of [chunk?._id, gone]) {
      if (name in answers) expect(await call(id)).toEqual(answers[name]);
      else if (name === "append" && id === gone) {
        expect(await call(id)).toBeNull();
      } else {
        await expect(call(id)).rejects.toThrow(
          id === gone
            ? `Stream not found: there is no stream ${gone}`
            : "Expected ID",
        );
      }
    }
  });

  test("refuses an unknown argument", async () => {
    await expect(call(setup.pending, { other: 1 })).rejects.toThrow(
      /[Vv]alidat|other/,
    );
  });
});

describe("other arguments", () => {
  const wrong = {
    append: {
      text: [null, 7, ["x"], "half \ud83d"],
      start: [null, "6", -1, -7, 0.5, 6.5, 7, NaN, -Infinity, 2 ** 53],
      writer: [undefined, null],
      final: ["aborted", "timeout", true, null],
    },
    addChunk: {
      text: [undefined, null, 7, "half \ude00"],
      final: [undefined, null, "yes"],
    },
    setStreamStatus: { status: [undefined, null, "", "paused", "DONE", 7] },
    read: { from: [null, "0", 0n, -1, 0.5, NaN, Infinity, 2 ** 53] },
    claim: { writer: [undefined, null, 7] },
  };
  const rows = Object.entries(wrong).flatMap(([name, args]) =>
    Object.entries(args).flatMap(([arg, values]) =>
      (values as unknown[]).map((value) => ({ name, arg, value })),
    ),
  );
  test.each(rows)("$name refuses $value as $arg", async (row) => {
    const { name, arg, value } = row;
    const { pending, claimed, streaming } = setup;
    const stream = { claim: pending, append: claimed }[name] ?? streaming;
    const call = functions[name as keyof typeof functions];
    await expect(call(stream, { [arg]: value })).rejects.toThrow(
      /[Vv]alidat|Unicode|offset|whole number of 0 or more|text|final|status|writer/,
    );
  });

  test.each(["", "another", "x".repeat(1_000_000)])(
    "append saves nothing for a writer that does not have the claim: %#",
    async (writer) => {
      expect(await functions.append(setup.claimed, { writer })).toBe(
        "takenOver",
      );
    },
  );

  test("append refuses an unclaimed stream", async () => {
    await expect(functions.append(setup.pending, { start: 0 })).rejects.toThrow(
      "has not been claimed. Claim it before appending.",
    );
  });

  test("the internal functions ignore a stream that is gone", async () => {
    const gone = await setup.create();
    await setup.t.run((ctx) => ctx.db.delete(gone));
    const streamId = gone;
    await setup.t.mutation(internal.lib.packChunks, { streamId, from: 0 });
    await setup.t.mutation(internal.lib.deleteTexts, { at: 0 });
    await setup.t.mutation(internal.lib.close, { streamId });
    await setup.t.mutation(internal.deadlines.expire, { streamId });
    await setup.t.mutation(internal.lib._deleteChunksPage, {
      streamId,
      cursor: null,
    });
    await setup.finishScheduled();
    // That they ran is not a change.
    before.jobs = (await setup.tables()).jobs;
  });
});
