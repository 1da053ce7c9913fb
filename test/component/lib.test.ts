import crons from "../../src/component/crons.js";
import { describe, expect, test, vi } from "vitest";
import { isFinal } from "../../src/shared.js";
import { pass, useClock } from "../support/clock.js";
import { setUpComponent, statuses } from "../support/component.js";
import { api, internal } from "../../src/component/_generated/api.js";
import type { Id } from "../../src/component/_generated/dataModel.js";

useClock();

const MINUTE = 60_000;

test("create, append, final, read", async () => {
  const { create, add, text } = setUpComponent();
  const streamId = await create();
  expect(await text(streamId)).toEqual({ text: "", status: "pending" });
  await add(streamId, "Hello, ");
  expect(await text(streamId)).toEqual({
    text: "Hello, ",
    status: "streaming",
  });
  await add(streamId, "world", true);
  expect(await text(streamId)).toEqual({
    text: "Hello, world",
    status: "done",
  });
});

describe("each function in each status", () => {
  type Setup = ReturnType<typeof setUpComponent>;
  type Status = (typeof statuses)[number];
  const kept = (status: Status) => ({ status, text: "" });
  /** What a function makes of a live stream of "writer"'s, what of an ended one, and what it answers. */
  const functions: Record<
    string,
    {
      call: (setup: Setup, id: Id<"streams">) => Promise<unknown>;
      writer?: string;
      live: (status: Status) => { status: Status; text: string };
      ended?: typeof kept;
      answers?: (before: Status, after: Status) => unknown;
      refuses?: string;
    }
  > = {
    addChunk: {
      call: ({ add }, id) => add(id, "x"),
      live: () => ({ status: "streaming", text: "x" }),
      refuses: "not streaming, it is ",
    },
    "the final addChunk": {
      call: ({ add }, id) => add(id, "x", true),
      live: () => ({ status: "done", text: "x" }),
      refuses: "not streaming, it is ",
    },
    claim: {
      call: ({ claim }, id) => claim(id),
      live: kept,
      answers: (status) => ({ claimed: status === "pending", status }),
    },
    "append by the writer": {
      call: ({ append }, id) => append(id, 0, "x"),
      writer: "writer",
      live: () => ({ status: "streaming", text: "x" }),
      // The writer had appended it before it was told of the end.
      ended: (status) => ({ status, text: "x" }),
      answers: (_, after) => after,
    },
    "the last append by the writer": {
      call: ({ append }, id) => append(id, 0, "x", "done"),
      writer: "writer",
      live: () => ({ status: "done", text: "x" }),
      ended: (status) => ({ status, text: "x" }),
      answers: (_, after) => after,
    },
    "append by another writer": {
      call: ({ append }, id) => append(id, 0, "x", undefined, "another"),
      writer: "writer",
      live: kept,
      answers: (status) => (isFinal(status) ? status : "takenOver"),
    },
    abort: {
      call: ({ t }, streamId) => t.mutation(api.lib.abort, { streamId }),
      live: () => ({ status: "aborted", text: "" }),
    },
    ...Object.fromEntries(
      statuses.map((status) => [
        `setStreamStatus to ${status},`,
        {
          call: ({ t }: Setup, streamId: Id<"streams">) =>
            t.mutation(api.lib.setStreamStatus, { streamId, status }),
          live: () => ({ status, text: "" }),
        },
      ]),
    ),
  };

  test.each(
    Object.entries(functions).flatMap(([name, fn]) =>
      statuses.map((status) => ({ name, status, ...fn })),
    ),
  )("$name of a stream that is $status", async (row) => {
    const { call, writer, live, ended = kept, status, answers, refuses } = row;
    const setup = setUpComponent();
    const fields = writer === undefined ? {} : { writer };
    const streamId = await setup.insertStream({ status, ...fields });
    const expected = isFinal(status) ? ended(status) : live(status);
    const calling = call(setup, streamId);
    if (refuses !== undefined && isFinal(status)) {
      await expect(calling).rejects.toThrow(refuses + status);
    } else {
      const answer = await calling;
      if (answers) expect(answer).toEqual(answers(status, expected.status));
    }
    expect(await setup.text(streamId)).toEqual(expected);
  });

  test.each(statuses)("reading a stream that is %s", async (status) => {
    const setup = setUpComponent();
    const streamId = await setup.insertStream({ status });
    await setup.insertChunks(streamId, ["Some ", "text."]);
    expect(await setup.status(streamId)).toBe(status);
    // What 0.3's functions say: apps write its five statuses down.
    const statusOf03 = status === "aborted" ? "done" : status;
    const { t } = setup;
    const asked = { streamId };
    expect(await t.query(api.lib.getStreamStatus, asked)).toBe(statusOf03);
    expect((await t.query(api.lib.getStreamText, asked)).status).toBe(
      statusOf03,
    );
    expect(await setup.text(streamId)).toEqual({ text: "Some text.", status });
    expect(await setup.read(streamId, 5)).toMatchObject({
      text: "text.",
      status,
    });
  });

  test.each(statuses)("deleteStream of a stream that is %s", async (status) => {
    const setup = setUpComponent();
    const { t, insertStream, insertChunks, stream, chunks } = setup;
    const streamId = await insertStream({ status });
    await insertChunks(streamId, ["Some ", "text."]);
    await t.mutation(api.lib.deleteStream, { streamId });
    expect(await stream(streamId)).toBeNull();
    await setup.finishScheduled();
    expect(await chunks(streamId)).toEqual([]);
  });
});

describe("a stream that does not exist", () => {
  async function deletedStream() {
    const setup = setUpComponent();
    const streamId = await setup.create();
    await setup.t.mutation(api.lib.deleteStream, { streamId });
    return { ...setup, streamId };
  }

  test("reads as error, and as no page", async () => {
    const { streamId, status, read } = await deletedStream();
    expect(await status(streamId)).toBe("error");
    expect(await read(streamId)).toBeNull();
    expect(await read(streamId, 3)).toBeNull();
  });

  test("cannot be claimed, and is not there to abort", async () => {
    const { t, streamId, claim } = await deletedStream();
    expect(await claim(streamId)).toEqual({ claimed: false, status: null });
    expect(await t.mutation(api.lib.abort, { streamId })).toBeNull();
  });

  test("tells its writer that it was deleted", async () => {
    const { streamId, append, chunks } = await deletedStream();
    expect(await append(streamId, 0, "x")).toBeNull();
    expect(await append(streamId, 0, "x", "done")).toBeNull();
    expect(await chunks(streamId)).toEqual([]);
  });

  test("is an error for the functions that version 0.3 had", async () => {
    const { t, streamId, add, text } = await deletedStream();
    const notFound = `Stream not found: there is no stream ${streamId}`;
    await expect(add(streamId, "x")).rejects.toThrow(notFound);
    await expect(text(streamId)).rejects.toThrow(notFound);
    await expect(
      t.mutation(api.lib.setStreamStatus, { streamId, status: "done" }),
    ).rejects.toThrow(notFound);
    await expect(
      t.mutation(api.lib.deleteStream, { streamId }),
    ).rejects.toThrow(notFound);
  });
});

describe("claim", () => {
  test("of two writers one gets the stream, and followers see no difference", async () => {
    const { create, claim, text } = setUpComponent();
    const streamId = await create();
    expect((await claim(streamId, "first")).claimed).toBe(true);
    expect((await claim(streamId, "second")).claimed).toBe(false);
    expect(await text(streamId)).toEqual({ text: "", status: "pending" });
  });

  test("asked again, it answers the same: the answer may have been lost", async () => {
    const { create, claim } = setUpComponent();
    const streamId = await create();
    expect((await claim(streamId)).claimed).toBe(true);
    expect((await claim(streamId)).claimed).toBe(true);
  });

  test("asked again for a stream that was aborted meanwhile, it says so", async () => {
    const { t, create, claim } = setUpComponent();
    const streamId = await create();
    await claim(streamId);
    await t.mutation(api.lib.abort, { streamId });
    expect(await claim(streamId)).toEqual({
      claimed: false,
      status: "aborted",
    });
  });

  test("a stream that was written through addChunk cannot be claimed", async () => {
    const { create, add, claim } = setUpComponent();
    const streamId = await create();
    await add(streamId, "x");
    expect((await claim(streamId)).claimed).toBe(false);
  });

  test("a claimed stream takes no text from addChunk, which would displace the writer's", async () => {
    const { create, add, claim, append, text } = setUpComponent();
    const streamId = await create();
    await claim(streamId);
    await expect(add(streamId, "x")).rejects.toThrow(
      "A call of stream() or generate() is writing stream",
    );
    await append(streamId, 0, "The writer's.", "done");
    expect((await text(streamId)).text).toBe("The writer's.");
  });
});

describe("append", () => {
  async function claimedStream() {
    const setup = setUpComponent();
    const streamId = await setup.create();
    await setup.claim(streamId);
    return { ...setup, streamId };
  }

  test("a save that is repeated changes nothing, and gets the same answer", async () => {
    const { streamId, append, text } = await claimedStream();
    for (const _ of [1, 2, 3]) {
      expect(await append(streamId, 0, "One. ")).toBe("streaming");
    }
    for (const _ of [1, 2, 3]) {
      expect(await append(streamId, 5, "Two.", "done")).toBe("done");
    }
    expect(await text(streamId)).toEqual({ text: "One. Two.", status: "done" });
  });

  test("a save that is repeated with more text saves the new part", async () => {
    const { streamId, append, text } = await claimedStream();
    await append(streamId, 0, "One. ");
    await append(streamId, 5, "Two. ");
    await append(streamId, 5, "Two. Three. ");
    // With less, too: it was cut elsewhere this time.
    await append(streamId, 5, "Two");
    expect((await text(streamId)).text).toBe("One. Two. Three. ");
  });

  test("a repetition is recognized across many chunks", async () => {
    const { streamId, append, text, chunks } = await claimedStream();
    const sentences = Array.from({ length: 40 }, (_, i) =>
      `${i}`.padEnd(400, "-"),
    );
    let at = 0;
    for (const sentence of sentences) {
      await append(streamId, at, sentence);
      at += sentence.length;
    }
    expect((await chunks(streamId)).length).toBeGreaterThan(10);
    await append(streamId, 400, sentences.slice(1).join("") + "!");
    expect((await text(streamId)).text).toBe(sentences.join("") + "!");
  });

  test("text that leaves a gap is refused, with both offsets", async () => {
    const { streamId, append, text } = await claimedStream();
    await append(streamId, 0, "One. ");
    await expect(append(streamId, 7, "Two.")).rejects.toThrow(
      /ends at offset 5, so text that starts at offset 7 does not continue it/,
    );
    expect((await text(streamId)).text).toBe("One. ");
  });

  test("text that contradicts the saved text is refused", async () => {
    const { streamId, append, text } = await claimedStream();
    await append(streamId, 0, "One. Two. ");
    await expect(append(streamId, 5, "Ten. ")).rejects.toThrow(
      "does not continue it",
    );
    expect((await text(streamId)).text).toBe("One. Two. ");
  });

  test("a stream that was ended from outside accepts what its writer still had, and nothing else", async () => {
    const { t, streamId, append, text } = await claimedStream();
    await append(streamId, 0, "Before. ");
    await t.mutation(api.lib.abort, { streamId });
    expect(await append(streamId, 8, "On its way. ")).toBe("aborted");
    expect(await append(streamId, 20, "The last.", "done")).toBe("aborted");
    expect(await append(streamId, 29, "Too late.")).toBe("aborted");
    expect(await append(streamId, 29, "Too late.", "done")).toBe("aborted");
    expect(await text(streamId)).toEqual({
      text: "Before. On its way. The last.",
      status: "aborted",
    });
  });

  test.each([
    { how: "ended from outside", end: api.lib.abort },
    { how: "timed out", end: undefined },
  ])(
    "readers of a stream that was $how do not wait forever for a dead writer's last words",
    async ({ end }) => {
      const { t, streamId, append, read, tail, text } = await claimedStream();
      await append(streamId, 0, "Before. ");
      if (end) await t.mutation(end, { streamId });
      else {
        await pass(20 * 60 * 1000 - 1000);
        await t.mutation(internal.lib.cleanupExpiredStreams, {});
        expect((await read(streamId, 0))?.status).toBe("streaming");
        await pass(2000);
        await t.mutation(internal.lib.cleanupExpiredStreams, {});
      }
      expect((await read(streamId, 0))?.draining).toBe(true);
      await pass(14_000);
      expect((await read(streamId, 0))?.draining).toBe(true);
      // A function that is due runs with the next millisecond.
      await pass(1001);
      await t.finishInProgressScheduledFunctions();
      expect((await read(streamId, 0))?.draining).toBe(false);
      expect((await tail(streamId))?.draining).toBe(false);
      const before = await text(streamId);
      expect(await append(streamId, 8, "Too late.")).toBe(before.status);
      expect(await text(streamId)).toEqual(before);
    },
  );

  test("the writer's error is the status, with its text, in one commit", async () => {
    const { streamId, append, text } = await claimedStream();
    expect(await append(streamId, 0, "Half a sen", "error")).toBe("error");
    expect(await text(streamId)).toEqual({
      text: "Half a sen",
      status: "error",
    });
  });

  test("the stream's document changes with its status alone", async () => {
    const { streamId, append, stream } = await claimedStream();
    await append(streamId, 0, "One. ");
    const before = await stream(streamId);
    await append(streamId, 5, "Two. ");
    await append(streamId, 10, "Three. ");
    expect(await stream(streamId)).toEqual(before);
  });
});

describe("the cron", () => {
  type Setup = ReturnType<typeof setUpComponent>;
  const cleanUp = (t: Setup["t"]) =>
    t.mutation(internal.lib.cleanupExpiredStreams, {});

  test("runs every hour: while streams live, checks are planned", () => {
    const jobs = Object.values(crons.crons);
    expect(jobs).toEqual([
      {
        name: "lib:cleanupExpiredStreams",
        args: [{}],
        schedule: { type: "interval", hours: 1 },
      },
    ]);
  });

  /** What a stream is like when its last 20 minutes begin, 15 minutes after its creation. */
  test.each([
    { since: "its creation", text: "", after: () => undefined, early: 15 },
    {
      since: "the last addChunk",
      text: "x",
      after: ({ add }: Setup, id: Id<"streams">) => add(id, "x"),
    },
    {
      since: "its claim",
      text: "",
      after: ({ claim }: Setup, id: Id<"streams">) => claim(id),
    },
    {
      since: "the newest text, which grew in place",
      text: "One. Two. ",
      before: "One. ",
      after: ({ append }: Setup, id: Id<"streams">) => append(id, 5, "Two. "),
    },
    {
      since: "a sign of life of a silent writer",
      text: "",
      before: "",
      after: ({ append }: Setup, id: Id<"streams">) => append(id, 0, ""),
    },
    {
      since: "a sign of life in mid-text",
      text: "One. ",
      before: "One. ",
      after: ({ append }: Setup, id: Id<"streams">) => append(id, 5, ""),
    },
  ])("counts 20 minutes from $since", async (row) => {
    const setup = setUpComponent();
    const streamId = await setup.create();
    if (row.before !== undefined) {
      await setup.claim(streamId);
      await setup.append(streamId, 0, row.before);
    }
    await pass((15 - (row.early ?? 0)) * MINUTE);
    await row.after(setup, streamId);
    await pass(19 * MINUTE);
    await cleanUp(setup.t);
    const status = row.text === "" ? "pending" : "streaming";
    expect(await setup.text(streamId)).toEqual({ text: row.text, status });
    await pass(2 * MINUTE);
    await cleanUp(setup.t);
    expect(await setup.status(streamId)).toBe("timeout");
  });

  test("a stream that is written for an hour lives", async () => {
    const { t, create, claim, append, status } = setUpComponent();
    const streamId = await create();
    await claim(streamId);
    for (let minute = 0; minute < 60; minute++) {
      await append(streamId, minute, ".");
      await pass(MINUTE);
      await cleanUp(t);
    }
    expect(await status(streamId)).toBe("streaming");
  });

  test("ends 1,000 dead streams, and no live one", async () => {
    const { t, add, status, finishScheduled } = setUpComponent();
    const dead = await t.run(async (ctx) => {
      const ids: Id<"streams">[] = [];
      for (let i = 0; i < 1000; i++) {
        const status = i % 2 === 0 ? "pending" : "streaming";
        ids.push(await ctx.db.insert("streams", { status }));
      }
      return ids;
    });
    const live = dead.splice(200, 1)[0] as Id<"streams">;
    await pass(21 * MINUTE);
    await add(live, "Still here.");

    await cleanUp(t);
    await finishScheduled();
    const after = await t.run((ctx) => ctx.db.query("streams").collect());
    const timedOut = after.filter((stream) => stream.status === "timeout");
    expect(timedOut.map((stream) => stream._id).sort()).toEqual(dead.sort());
    expect(await status(live)).toBe("streaming");
  });

  test("old streams that live do not hide a dead one behind them", async () => {
    const { t, insertStream, finishScheduled, status } = setUpComponent();
    const later = Date.now() + 20 * MINUTE;
    for (let i = 0; i < 120; i++) await insertStream({ claimedAt: later });
    await pass(1000);
    const dead = await insertStream({});
    await pass(21 * MINUTE);
    await cleanUp(t);
    await finishScheduled();
    expect(await status(dead)).toBe("timeout");
    const all = await t.run((ctx) => ctx.db.query("streams").collect());
    expect(all.filter(({ status }) => status === "pending")).toHaveLength(120);
  });

  test("has nothing to do in an app whose streams have all ended", async () => {
    const { t, create, add, finishScheduled } = setUpComponent();
    for (let i = 0; i < 60; i++) await add(await create(), "x", true);
    await pass(60 * MINUTE);
    // The check that was planned for the first of them was the last.
    expect(await finishScheduled()).toBe(1);
    await cleanUp(t);
    expect(await finishScheduled()).toBe(1);
  });
});

describe("deletion", () => {
  const rows = (count: number) =>
    Array.from({ length: count }, (_, i) => `Chunk ${i}. `);

  test.each(["insertChunks", "insertOldChunks"] as const)(
    "1,200 chunks (%s) go in batches, and the stream at once",
    async (insert) => {
      const setup = setUpComponent();
      const { t, create, status, chunks, finishScheduled } = setup;
      const streamId = await create();
      const other = await create();
      await setup[insert](streamId, rows(1200));
      await setup[insert](other, rows(60));

      await t.mutation(api.lib.deleteStream, { streamId });
      expect(await status(streamId)).toBe("error");
      expect((await chunks(streamId)).length).toBeGreaterThan(0);
      expect(await finishScheduled()).toBeGreaterThan(1);
      expect(await chunks(streamId)).toEqual([]);
      expect(await chunks(other)).toHaveLength(60);
    },
  );

  test("a stream that is being packed can be deleted", async () => {
    const setup = setUpComponent();
    const { t, insertStream, insertChunks, chunks, finishScheduled } = setup;
    const streamId = await insertStream({ status: "streaming" });
    await insertChunks(
      streamId,
      Array.from({ length: 700 }, (_, i) => `${i}`.padEnd(600, "·")),
    );
    await t.mutation(api.lib.abort, { streamId });
    await vi.advanceTimersToNextTimerAsync();
    await t.finishInProgressScheduledFunctions();
    const packed = (await chunks(streamId)).length;
    expect(packed).toBeLessThan(700);
    expect(packed).toBeGreaterThan(100);

    await t.mutation(api.lib.deleteStream, { streamId });
    await finishScheduled();
    expect(await chunks(streamId)).toEqual([]);
  });
});

describe("streams that version 0.3 wrote", () => {
  async function oldStream(status: "pending" | "streaming" | "done") {
    const setup = setUpComponent();
    const streamId = await setup.t.run((ctx) =>
      ctx.db.insert("streams", { status }),
    );
    if (status !== "pending") {
      await setup.insertOldChunks(streamId, ["Once ", "upon ", "a 😀."]);
    }
    return { ...setup, streamId };
  }
  const story = "Once upon a 😀.";

  test("can be read, whole and from every offset", async () => {
    const { streamId, text, read } = await oldStream("done");
    expect(await text(streamId)).toEqual({ text: story, status: "done" });
    for (let from = 0; from <= story.length; from++) {
      const page = await read(streamId, from);
      expect(page?.text).toBe(story.slice(page?.from));
    }
  });

  test("can be claimed and written when pending", async () => {
    const { streamId, claim, append, text } = await oldStream("pending");
    expect((await claim(streamId)).claimed).toBe(true);
    await append(streamId, 0, "New. ");
    await append(streamId, 5, "Text.", "done");
    expect(await text(streamId)).toEqual({
      text: "New. Text.",
      status: "done",
    });
  });

  test("cannot be claimed when they have been started", async () => {
    const { streamId, claim } = await oldStream("streaming");
    expect((await claim(streamId)).claimed).toBe(false);
  });

  test("can be appended to and ended: old and new chunks are one text", async () => {
    const { streamId, add, text, read, chunks, finishScheduled } =
      await oldStream("streaming");
    await add(streamId, " The ");
    await add(streamId, "x".repeat(600));
    await add(streamId, " end.", true);
    await finishScheduled();
    const whole = story + " The " + "x".repeat(600) + " end.";
    expect(await text(streamId)).toEqual({ text: whole, status: "done" });
    for (const from of [0, 3, story.length, story.length + 1, 300, 619]) {
      const page = await read(streamId, from);
      expect(page?.from).toBe(from);
      expect(page?.text).toBe(whole.slice(from));
    }
    // The rows of version 0.3 are as they were.
    const rows = await chunks(streamId);
    expect(
      rows
        .slice(0, 3)
        .map((row) => row.text)
        .join(""),
    ).toBe(story);
  });

  test("lose no text when they are ended from outside", async () => {
    const { t, streamId, add, text, finishScheduled } =
      await oldStream("streaming");
    await add(streamId, " And on.");
    await t.mutation(api.lib.abort, { streamId });
    await finishScheduled();
    expect(await text(streamId)).toEqual({
      text: story + " And on.",
      status: "aborted",
    });
  });
});
