import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { useClock } from "../support/clock.js";
import { setUpComponent } from "../support/component.js";
import * as deadlines from "../../src/component/deadlines.js";
import * as endings from "../../src/component/endings.js";
import * as lib from "../../src/component/lib.js";
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

const isRegistered = (
  fn: unknown,
): fn is { exportArgs: () => string; exportReturns: () => string } =>
  typeof fn === "function" && "exportArgs" in fn;

test("every function checks its arguments and its result", () => {
  const exported = { ...lib, ...deadlines, ...endings };
  const checks = Object.entries(exported).flatMap(([name, fn]) => {
    if (!isRegistered(fn)) return [];
    const returns = JSON.parse(fn.exportReturns()) as object | null;
    const args = JSON.parse(fn.exportArgs()) as { type: string };
    return [{ name, args: args.type, returns: returns !== null }];
  });
  expect(checks.length).toBeGreaterThan(20);
  for (const { name, ...check } of checks) {
    expect(check, name).toEqual({ args: "object", returns: true });
  }
});

test.each(names)("%s finds no stream named by anything else", async (name) => {
  const [chunk] = await setup.chunks(setup.claimed);
  const gone = await setup.create();
  await setup.t.run((ctx) => ctx.db.delete(gone));
  const ids = ["", "k57 or so", "\0", "x".repeat(1_000_000), chunk?._id, gone];
  for (const id of ids) {
    const calling = functions[name](id);
    if (name in answers) expect(await calling).toEqual(answers[name]);
    else if (id !== gone) await expect(calling).rejects.toThrow("Expected ID");
    else if (name === "append") expect(await calling).toBeNull();
    else {
      await expect(calling).rejects.toThrow(
        `Stream not found: there is no stream ${gone}`,
      );
    }
  }
});

describe("other arguments", () => {
  const offsets = [-1, 0.5, NaN, -Infinity, Infinity, 2 ** 53];
  test.each(
    offsets.flatMap((offset) => [
      { name: "append" as const, arg: "start", offset },
      { name: "read" as const, arg: "from", offset },
      { name: "read" as const, arg: "tail", offset },
    ]),
  )("$name refuses $offset as $arg", async ({ name, arg, offset }) => {
    await expect(
      functions[name](setup.claimed, { [arg]: offset }),
    ).rejects.toThrow(
      new RegExp(`${arg} must be .*a whole number of 0 or more.* is ${offset}`),
    );
  });

  test("text and statuses are legal", async () => {
    const { claimed, streaming } = setup;
    const half = "half \ud83d";
    for (const calling of [
      functions.append(claimed, { text: half }),
      functions.append(claimed, { final: "aborted" }),
      functions.addChunk(streaming, { text: half }),
      functions.setStreamStatus(streaming, { status: "DONE" }),
    ]) {
      await expect(calling).rejects.toThrow(/[Vv]alidat|Unicode/);
    }
  });

  test("append is for the writer that has the claim", async () => {
    const { append } = functions;
    for (const writer of ["", "another", "x".repeat(1_000_000)]) {
      expect(await append(setup.claimed, { writer })).toBe("takenOver");
    }
    await expect(append(setup.pending, { start: 0 })).rejects.toThrow(
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
