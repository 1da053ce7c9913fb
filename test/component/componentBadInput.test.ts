import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { useClock } from "../support/clock.js";
import { setUpComponent } from "../support/component.js";
import { api, internal } from "../../src/component/_generated/api.js";
import type { Id } from "../../src/component/_generated/dataModel.js";

// Arguments that a function cannot mean: an error that says so, and nothing
// that is saved changes.

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

/** Each function that takes a stream's id, with arguments that it would take. */
const functions = {
  claim: (id: unknown, more = {}) =>
    setup.t.mutation(
      api.lib.claim,
      anything({ streamId: id, writer: "another", ...more }),
    ),
  append: (id: unknown, more = {}) =>
    setup.t.mutation(
      api.lib.append,
      anything({
        streamId: id,
        writer: "writer",
        start: 6,
        text: "x",
        ...more,
      }),
    ),
  addChunk: (id: unknown, more = {}) =>
    setup.t.mutation(
      api.lib.addChunk,
      anything({ streamId: id, text: "x", final: false, ...more }),
    ),
  setStreamStatus: (id: unknown, more = {}) =>
    setup.t.mutation(
      api.lib.setStreamStatus,
      anything({ streamId: id, status: "done", ...more }),
    ),
  abort: (id: unknown, more = {}) =>
    setup.t.mutation(api.lib.abort, anything({ streamId: id, ...more })),
  getStreamStatus: (id: unknown, more = {}) =>
    setup.t.query(api.lib.getStreamStatus, anything({ streamId: id, ...more })),
  read: (id: unknown, more = {}) =>
    setup.t.query(api.lib.read, anything({ streamId: id, ...more })),
  tail: (id: unknown, more = {}) =>
    setup.t.query(api.lib.tail, anything({ streamId: id, ...more })),
  getStreamText: (id: unknown, more = {}) =>
    setup.t.query(api.lib.getStreamText, anything({ streamId: id, ...more })),
  deleteStream: (id: unknown, more = {}) =>
    setup.t.mutation(api.lib.deleteStream, anything({ streamId: id, ...more })),
};
type Name = keyof typeof functions;
const names = Object.keys(functions) as Name[];

/** What those functions say of an id that names no stream which do not throw. */
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
    "takes no %s for an id",
    async (id) => {
      await expect(call(id)).rejects.toThrow(/[Vv]alidat|streamId/);
    },
  );

  test.each([
    ["an empty string", ""],
    ["a foreign string", "k57 or so"],
    ["a zero byte", "\0"],
    ["10 MB", "x".repeat(10_000_000)],
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

  test("takes no argument that it does not know", async () => {
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

  test.each(["", "another", "x".repeat(10_000_000)])(
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

  test("the internal functions take no stream's id for granted", async () => {
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
    // What ran is no change.
    before.jobs = (await setup.tables()).jobs;
  });
});

describe("an app that calls the functions itself", () => {
  // These do change something.
  afterEach(async () => {
    before = await setup.tables();
  });

  test.each(["pending", "streaming"] as const)(
    "a stream with text that is set to %s is not claimed: its writer could never save",
    async (status) => {
      const { t, streaming, claim, text, add } = setup;
      await t.mutation(api.lib.setStreamStatus, {
        streamId: streaming,
        status,
      });
      expect(await claim(streaming)).toEqual({ claimed: false, status });
      expect(await text(streaming)).toEqual({ text: "Saved, too.", status });
      // It goes on as it was begun.
      await add(streaming, " More.", true);
      expect(await text(streaming)).toEqual({
        text: "Saved, too. More.",
        status: "done",
      });
    },
  );

  test("a stream without text that is set to pending again can be claimed", async () => {
    const { t, pending, claim } = setup;
    for (const status of ["streaming", "pending"] as const) {
      await t.mutation(api.lib.setStreamStatus, { streamId: pending, status });
    }
    expect((await claim(pending)).claimed).toBe(true);
  });

  test("a claimed stream that is set to pending stays its writer's", async () => {
    const { t, claimed, claim, append, text } = setup;
    const streamId: Id<"streams"> = claimed;
    await t.mutation(api.lib.setStreamStatus, { streamId, status: "pending" });
    expect((await claim(streamId, "another")).claimed).toBe(false);
    expect(await append(streamId, 6, " More.", "done")).toBe("done");
    expect((await text(streamId)).text).toBe("Saved. More.");
  });
});
