import crons from "../../src/component/crons.js";
import { describe, expect, test } from "vitest";
import { isFinal } from "../../src/shared.js";
import { pass, useClock } from "../support/clock.js";
import {
  setUpComponent,
  statuses,
  type Component,
} from "../support/component.js";
import { api, internal } from "../../src/component/_generated/api.js";
import type { Id } from "../../src/component/_generated/dataModel.js";

useClock();

const MINUTE = 60_000;

describe("each function in each status", () => {
  type Status = (typeof statuses)[number];
  const kept = (status: Status) => ({ status, text: "" });
  /** What a call makes of a live stream and of an ended one, and what it answers. */
  const functions: Record<
    string,
    {
      call: (setup: Component, id: Id<"streams">) => Promise<unknown>;
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
      call: ({ abort }, id) => abort(id),
      live: () => ({ status: "aborted", text: "" }),
    },
    ...Object.fromEntries(
      statuses.map((status) => [
        `setStreamStatus to ${status},`,
        {
          call: ({ setStatus }: Component, id: Id<"streams">) =>
            setStatus(id, status),
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
    const streamId = await setup.insertStream({ status });
    await setup.insertChunks(streamId, ["Some ", "text."]);
    await setup.remove(streamId);
    expect(await setup.stream(streamId)).toBeNull();
    await setup.finishScheduled();
    expect(await setup.chunks(streamId)).toEqual([]);
  });
});

describe("claim", () => {
  test("gives the stream to the first writer, as often as it asks, until the stream ends", async () => {
    const { create, claim, text, abort } = setUpComponent();
    const streamId = await create();
    expect((await claim(streamId, "first")).claimed).toBe(true);
    expect((await claim(streamId, "second")).claimed).toBe(false);
    // The answer may have been lost.
    expect((await claim(streamId, "first")).claimed).toBe(true);
    // Followers see no difference.
    expect(await text(streamId)).toEqual({ text: "", status: "pending" });
    await abort(streamId);
    const refused = { claimed: false, status: "aborted" };
    expect(await claim(streamId, "first")).toEqual(refused);
  });

  test("and addChunk exclude each other", async () => {
    const { create, add, claim, append, text } = setUpComponent();
    const added = await create();
    await add(added, "x");
    expect((await claim(added)).claimed).toBe(false);
    const claimed = await create();
    await claim(claimed);
    await expect(add(claimed, "x")).rejects.toThrow(
      "A call of stream() or generate() is writing stream",
    );
    await append(claimed, 0, "The writer's.", "done");
    expect((await text(claimed)).text).toBe("The writer's.");
  });
});

describe("append", () => {
  async function claimedStream() {
    const setup = setUpComponent();
    const streamId = await setup.create();
    await setup.claim(streamId);
    return {
      ...setup,
      streamId,
      text: () => setup.text(streamId),
      append: (start: number, text: string, final?: "done" | "error") =>
        setup.append(streamId, start, text, final),
    };
  }

  test("a repeated save changes nothing, and gets the same answer", async () => {
    const { append, text } = await claimedStream();
    for (const _ of [1, 2, 3]) {
      expect(await append(0, "One. ")).toBe("streaming");
    }
    for (const _ of [1, 2, 3]) {
      expect(await append(5, "Two.", "done")).toBe("done");
    }
    expect(await text()).toEqual({ text: "One. Two.", status: "done" });
  });

  test("a repeated save with more text saves the new part, even across many chunks", async () => {
    const { append, text, chunks, streamId } = await claimedStream();
    const sentences = Array.from({ length: 40 }, (_, i) =>
      `${i}`.padEnd(400, "-"),
    );
    for (const [i, sentence] of sentences.entries()) {
      await append(i * 400, sentence);
    }
    expect((await chunks(streamId)).length).toBeGreaterThan(10);
    await append(400, sentences.slice(1).join("") + "!");
    // It may also have less: it was cut elsewhere this time.
    await append(400, sentences[1]!.slice(0, 3));
    expect((await text()).text).toBe(sentences.join("") + "!");
  });

  test.each([
    [13, "Two. "],
    [5, "Ten. "],
  ])(
    "text at %i that leaves a gap or contradicts the saved text is refused, with both offsets",
    async (start, more) => {
      const { append, text } = await claimedStream();
      await append(0, "One. Two. ");
      await expect(append(start, more)).rejects.toThrow(
        `ends at offset 10, so text that starts at offset ${start} does not continue it`,
      );
      expect((await text()).text).toBe("One. Two. ");
    },
  );

  test("a stream that was ended from outside accepts its writer's last words, and nothing after", async () => {
    const { abort, streamId, append, text } = await claimedStream();
    await append(0, "Before. ");
    await abort(streamId);
    expect(await append(8, "On its way. ")).toBe("aborted");
    expect(await append(20, "The last.", "done")).toBe("aborted");
    expect(await append(29, "Too late.")).toBe("aborted");
    expect(await append(29, "Too late.", "done")).toBe("aborted");
    expect(await text()).toEqual({
      text: "Before. On its way. The last.",
      status: "aborted",
    });
  });

  test.each([{ how: "ended from outside" }, { how: "timed out" }])(
    "readers of a stream that was $how do not wait forever for a dead writer's last words",
    async ({ how }) => {
      const { streamId, append, read, tail, text, chunks, ...setup } =
        await claimedStream();
      await append(0, "Before. ");
      if (how === "ended from outside") await setup.abort(streamId);
      else {
        await pass(20 * MINUTE - 1000);
        await setup.cleanUp();
        expect((await read(streamId, 0))?.status).toBe("streaming");
        await pass(2000);
        await setup.cleanUp();
      }
      expect((await read(streamId, 0))?.draining).toBe(true);
      // It saves some before it dies.
      for (const start of [8, 608, 1208]) {
        await append(start, "x".repeat(600));
      }
      await pass(14_000);
      expect((await read(streamId, 0))?.draining).toBe(true);
      // A function that is due runs in the next millisecond.
      await pass(1001);
      await setup.t.finishInProgressScheduledFunctions();
      expect((await read(streamId, 0))?.draining).toBe(false);
      expect((await tail(streamId))?.draining).toBe(false);
      await pass(1);
      await setup.t.finishInProgressScheduledFunctions();
      expect(await chunks(streamId)).toHaveLength(1);
      const before = await text();
      expect(await append(1808, "Too late.")).toBe(before.status);
      expect(await text()).toEqual(before);
    },
  );

  test("with an error, text and status are saved in one commit", async () => {
    const { append, text } = await claimedStream();
    expect(await append(0, "Half a sen", "error")).toBe("error");
    expect(await text()).toEqual({ text: "Half a sen", status: "error" });
  });

  test("changes the stream's document only with its status", async () => {
    const { streamId, append, stream } = await claimedStream();
    await append(0, "One. ");
    const before = await stream(streamId);
    await append(5, "Two. ");
    await append(10, "Three. ");
    expect(await stream(streamId)).toEqual(before);
  });
});

describe("the cron", () => {
  test("runs every hour: while streams live, checks are planned", () => {
    expect(Object.values(crons.crons)).toEqual([
      {
        name: "lib:cleanupExpiredStreams",
        args: [{}],
        schedule: { type: "interval", hours: 1 },
      },
    ]);
  });

  /** The last sign of life, 15 minutes after the creation. */
  test.each([
    { since: "its creation", text: "", after: () => undefined, early: 15 },
    {
      since: "the last addChunk",
      text: "x",
      after: ({ add }: Component, id: Id<"streams">) => add(id, "x"),
    },
    {
      since: "its claim",
      text: "",
      after: ({ claim }: Component, id: Id<"streams">) => claim(id),
    },
    {
      since: "the newest text, which grew in place",
      text: "One. Two. ",
      before: "One. ",
      after: ({ append }: Component, id: Id<"streams">) =>
        append(id, 5, "Two. "),
    },
    {
      since: "a sign of life of a silent writer",
      text: "",
      before: "",
      after: ({ append }: Component, id: Id<"streams">) => append(id, 0, ""),
    },
    {
      since: "a sign of life in mid-text",
      text: "One. ",
      before: "One. ",
      after: ({ append }: Component, id: Id<"streams">) => append(id, 5, ""),
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
    await setup.cleanUp();
    const status = row.text === "" ? "pending" : "streaming";
    expect(await setup.text(streamId)).toEqual({ text: row.text, status });
    await pass(2 * MINUTE);
    await setup.cleanUp();
    expect(await setup.status(streamId)).toBe("timeout");
  });

  test("a stream that is written for an hour lives", async () => {
    const { create, claim, append, status, cleanUp } = setUpComponent();
    const streamId = await create();
    await claim(streamId);
    for (let minute = 0; minute < 60; minute++) {
      await append(streamId, minute, ".");
      await pass(MINUTE);
      await cleanUp();
    }
    expect(await status(streamId)).toBe("streaming");
  });

  test("a save moves the deadline only when a quarter of the time has passed", async () => {
    const { create, claim, append, stream } = setUpComponent();
    const streamId = await create();
    await claim(streamId);
    await append(streamId, 0, ".");
    const { deadline: first = 0 } = (await stream(streamId))!;
    const timeout = first - Date.now();
    await pass(timeout / 5);
    await append(streamId, 1, ".");
    expect(await stream(streamId)).toMatchObject({ deadline: first });
    await pass(timeout / 10);
    await append(streamId, 2, ".");
    const moved = Date.now() + timeout;
    expect(await stream(streamId)).toMatchObject({ deadline: moved });
  });

  test("the next check is planned for the earliest deadline", async () => {
    const { t, insertStream, cleanUp } = setUpComponent();
    const deadline = Date.now() + 5 * MINUTE;
    await insertStream({ deadline: deadline + 9 * MINUTE });
    await insertStream({ status: "streaming", deadline });
    await cleanUp();
    const checks = await t.run((ctx) => ctx.db.query("checks").collect());
    expect(checks).toMatchObject([{ at: deadline + MINUTE / 2 }]);
  });

  test.each([
    { status: "streaming", expiring: true, then: "timeout" },
    { status: "streaming", expiring: undefined, then: "streaming" },
    { status: "done", expiring: true, then: "done" },
  ] as const)(
    "a mutation of its own ends a dead stream, unless it lives or has ended: $status, $expiring",
    async ({ status, expiring, then }) => {
      const setup = setUpComponent();
      const streamId = await setup.insertStream({ status, expiring });
      await setup.t.mutation(internal.deadlines.expire, { streamId });
      expect(await setup.status(streamId)).toBe(then);
    },
  );

  test("ends 1,000 dead streams, and no live one, of which 120 are older", async () => {
    const { t, insertStreams, add, status, cleanUp, finishScheduled } =
      setUpComponent();
    const claimedAt = Date.now() + 20 * MINUTE;
    const live = await insertStreams(120, { claimedAt });
    await pass(1000);
    const dead = await insertStreams(500, {});
    dead.push(...(await insertStreams(500, { status: "streaming" })));
    const [written] = dead.splice(200, 1);
    await pass(21 * MINUTE);
    await add(written!, "Still here.");
    await cleanUp();
    await finishScheduled();
    const after = await t.run((ctx) => ctx.db.query("streams").collect());
    const ids = (status: string) =>
      after.filter((stream) => stream.status === status).map(({ _id }) => _id);
    expect(ids("timeout").sort()).toEqual(dead.sort());
    expect(ids("pending")).toEqual(live);
    expect(await status(written!)).toBe("streaming");
  });

  test("has nothing to do in an app whose streams have all ended", async () => {
    const { create, add, cleanUp, finishScheduled } = setUpComponent();
    for (let i = 0; i < 60; i++) await add(await create(), "x", true);
    await pass(60 * MINUTE);
    // The check that was planned for the first of them was the last.
    expect(await finishScheduled()).toBe(1);
    await cleanUp();
    expect(await finishScheduled()).toBe(1);
  });
});

describe("deletion", () => {
  test.each(["insertChunks", "insertOldChunks"] as const)(
    "1,200 chunks (%s) go in batches, and the stream at once",
    async (insert) => {
      const setup = setUpComponent();
      const [streamId, other] = [await setup.create(), await setup.create()];
      const rows = Array.from({ length: 1200 }, (_, i) => `Chunk ${i}. `);
      await setup[insert](streamId, rows);
      await setup[insert](other, rows.slice(0, 60));
      await setup.remove(streamId);
      expect(await setup.status(streamId)).toBe("error");
      expect((await setup.chunks(streamId)).length).toBeGreaterThan(0);
      expect(await setup.finishScheduled()).toBeGreaterThan(1);
      expect(await setup.chunks(streamId)).toEqual([]);
      expect(await setup.chunks(other)).toHaveLength(60);
    },
  );

  test("a stream that is being packed can be deleted", async () => {
    const setup = setUpComponent();
    const streamId = await setup.insertStream({ status: "streaming" });
    const rows = Array.from({ length: 700 }, (_, i) => `${i}`.padEnd(600, "·"));
    await setup.insertChunks(streamId, rows);
    await setup.abort(streamId);
    await setup.runNext();
    const packed = (await setup.chunks(streamId)).length;
    expect(packed).toBeLessThan(700);
    expect(packed).toBeGreaterThan(100);
    await setup.remove(streamId);
    await setup.finishScheduled();
    expect(await setup.chunks(streamId)).toEqual([]);
  });
});

describe("streams that version 0.3 wrote", () => {
  async function oldStream(status: "pending" | "streaming" | "done") {
    const setup = setUpComponent();
    const streamId = await setup.insertStream({ status });
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

  test("can be claimed and written when pending, not when started", async () => {
    const { streamId, claim, append, text } = await oldStream("pending");
    expect((await claim(streamId)).claimed).toBe(true);
    await append(streamId, 0, "New. ");
    await append(streamId, 5, "Text.", "done");
    const written = { text: "New. Text.", status: "done" };
    expect(await text(streamId)).toEqual(written);
    const started = await oldStream("streaming");
    expect((await started.claim(started.streamId)).claimed).toBe(false);
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
    // The rows of version 0.3 stay as they were.
    const rows = (await chunks(streamId)).map(({ text }) => text);
    expect(rows.slice(0, 3).join("")).toBe(story);
  });

  test("lose no text when they are ended from outside", async () => {
    const { streamId, add, text, abort, finishScheduled } =
      await oldStream("streaming");
    await add(streamId, " And on.");
    await abort(streamId);
    await finishScheduled();
    expect(await text(streamId)).toEqual({
      text: story + " And on.",
      status: "aborted",
    });
  });
});
