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
    const isEnded = (await setup.stream(streamId))?.endedAt !== undefined;
    const endsNow = isFinal(expected.status) && !isFinal(status);
    expect(isEnded).toBe(endsNow);
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
});

describe("claim", () => {
  test("gives the stream to the first writer, as often as it asks, until the stream ends", async () => {
    const { create, insertStream, claim, text, abort } = setUpComponent();
    const earlier = await insertStream({ claimedAt: Date.now() });
    expect((await claim(earlier)).claimed).toBe(false);
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

  test("is not for a claimed stream's text: addChunk is refused", async () => {
    const { create, add, claim, append, text, setStatus } = setUpComponent();
    const streamId = await create();
    await claim(streamId);
    await expect(add(streamId, "x")).rejects.toThrow(
      "A call of stream() or generate() is writing stream",
    );
    // It stays its writer's.
    await setStatus(streamId, "pending");
    expect((await claim(streamId, "another")).claimed).toBe(false);
    await append(streamId, 0, "The writer's.", "done");
    expect((await text(streamId)).text).toBe("The writer's.");
  });

  test.each(["pending", "streaming"] as const)(
    "is refused for a stream with text that an app of 0.3 sets to %s: its writer could never save",
    async (status) => {
      const { create, setStatus, claim, text, add } = setUpComponent();
      const streamId = await create();
      await add(streamId, "Some");
      await setStatus(streamId, status);
      expect(await claim(streamId)).toEqual({ claimed: false, status });
      expect(await text(streamId)).toEqual({ text: "Some", status });
      // It continues as it began.
      await add(streamId, " text.", true);
      const written = { text: "Some text.", status: "done" };
      expect(await text(streamId)).toEqual(written);
    },
  );
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
    [13, ""],
    [5, "Ten. "],
    // Half of a character.
    [6, "😀"],
  ])(
    "text at %i that leaves a gap or contradicts the saved text is refused, with both offsets: %j",
    async (start, more) => {
      const { append, text } = await claimedStream();
      await append(0, "One. 😀Two");
      await expect(append(start, more)).rejects.toThrow(
        `ends at offset 10, so text that starts at offset ${start} does not continue it`,
      );
      expect((await text()).text).toBe("One. 😀Two");
    },
  );

  test("a writer that gives up leaves its error to the stream's end", async () => {
    const { t, streamId, read, cleanUp } = await claimedStream();
    const error = { kind: "WriterFailed", message: "Busy." } as const;
    const last = { streamId, writer: "writer", start: 0, text: "Text." };
    const open = { ...last, final: "open" as const, error };
    expect(await t.mutation(api.lib.append, open)).toBe("streaming");
    const live = await read(streamId, 0);
    expect(live).toMatchObject({ status: "streaming", claimed: true });
    expect(live?.error).toBeUndefined();
    await pass(21 * MINUTE);
    await cleanUp();
    const ended = { status: "error", claimed: false, error };
    expect(await read(streamId, 0)).toMatchObject(ended);
  });

  test("more than 15 MiB at once are refused, and the saved text stays", async () => {
    const { append, text, create, add } = await claimedStream();
    await append(0, "Saved.");
    const large = "é".repeat(7.75 * 1024 * 1024);
    const why = "has 15.5 MiB; at most 15 MiB can be added at once";
    await expect(append(6, large)).rejects.toThrow(why);
    await expect(add(await create(), large)).rejects.toThrow(why);
    expect(await text()).toEqual({ text: "Saved.", status: "streaming" });
  });

  test("a stream that was ended from outside accepts its writer's last words, and nothing after", async () => {
    const { t, abort, streamId, append, text, tail } = await claimedStream();
    const status = "aborted";
    await append(0, "Before. ");
    await abort(streamId);
    expect(await tail(streamId)).toEqual({ offset: 8, status, draining: true });
    expect(await append(8, "On its way. ")).toBe(status);
    const info = await t.query(api.lib.getStreamInfo, { streamId });
    expect(info).toMatchObject({ status, length: 20 });
    expect(await append(20, "The last.", "done")).toBe(status);
    const end = { offset: 29, status, draining: false };
    expect(await tail(streamId)).toEqual(end);
    expect(await append(29, "Too late.")).toBe(status);
    expect(await append(29, "Too late.", "done")).toBe(status);
    const written = { text: "Before. On its way. The last.", status };
    expect(await text()).toEqual(written);
  });

  test("readers do not wait forever for a dead writer's last words", async () => {
    const { streamId, append, read, tail, text, chunks, abort, t } =
      await claimedStream();
    await append(0, "Before. ");
    await abort(streamId);
    expect((await read(streamId, 0))?.draining).toBe(true);
    // It saves some before it dies.
    for (const start of [8, 608, 1208]) await append(start, "x".repeat(600));
    await pass(14_000);
    expect((await read(streamId, 0))?.draining).toBe(true);
    // A function that is due runs in the next millisecond.
    await pass(1001);
    await t.finishInProgressScheduledFunctions();
    expect((await read(streamId, 0))?.draining).toBe(false);
    expect((await tail(streamId))?.draining).toBe(false);
    await pass(1);
    await t.finishInProgressScheduledFunctions();
    expect(await chunks(streamId)).toHaveLength(1);
    const before = await text();
    expect(await append(1808, "Too late.")).toBe("aborted");
    expect(await text()).toEqual(before);
  });
});

describe("deletion", () => {
  test.each([
    { insert: "insertChunks", status: "done" },
    { insert: "insertOldChunks", status: "streaming" },
    // A stream that 0.3 has deleted, and a call that it has scheduled.
    { insert: "insertOldChunks", status: undefined },
  ] as const)(
    "600 chunks go in batches, and the stream at once: $insert, $status",
    async ({ insert, status }) => {
      const setup = setUpComponent();
      const [streamId, other] = [await setup.create(), await setup.create()];
      const rows = Array.from({ length: 600 }, (_, i) => `Chunk ${i}. `);
      await setup[insert](streamId, rows);
      await setup[insert](other, rows.slice(0, 60));
      if (status === undefined) {
        await setup.t.run((ctx) => ctx.db.delete(streamId));
        const { _deleteChunksPage } = internal.lib;
        const page = { streamId, cursor: null };
        await setup.t.mutation(_deleteChunksPage, page);
      } else {
        await setup.setStatus(streamId, status);
        await setup.remove(streamId);
      }
      expect(await setup.stream(streamId)).toBeNull();
      expect(await setup.status(streamId)).toBe("error");
      expect((await setup.chunks(streamId)).length).toBeGreaterThan(0);
      expect(await setup.finishScheduled()).toBeGreaterThan(1);
      expect(await setup.chunks(streamId)).toEqual([]);
      expect(await setup.chunks(other)).toHaveLength(60);
    },
  );

  test("of streams in one mutation takes one function", async () => {
    const { t, create, add, finishScheduled } = setUpComponent();
    const ids = [await create(), await create(), await create()];
    for (const streamId of ids) await add(streamId, "x");
    await t.mutation(async (ctx) => {
      for (const streamId of ids) {
        await ctx.runMutation(api.lib.deleteStream, { streamId });
      }
    });
    expect(await finishScheduled()).toBe(1);
    for (const table of ["chunks", "deletions"] as const) {
      expect(await t.run((ctx) => ctx.db.query(table).first())).toBeNull();
    }
  });
});

describe("streams that version 0.3 wrote", () => {
  async function oldStream(
    status: "streaming" | "done",
    rows = ["Once ", "upon ", "a 😀."],
  ) {
    const setup = setUpComponent();
    const streamId = await setup.insertStream({ status });
    await setup.insertOldChunks(streamId, rows);
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

  test.each(["done", "aborted"])(
    "can be appended to and ended: old and new chunks are one text, also if it is %s",
    async (status) => {
      const { streamId, add, read, tail, chunks, ...setup } =
        await oldStream("streaming");
      expect(await tail(streamId)).toMatchObject({ offset: 15 });
      await add(streamId, " The ");
      expect((await read(streamId, 0))?.next).toBe(story.length);
      await add(streamId, "x".repeat(600));
      await add(streamId, " end.", status === "done");
      if (status === "aborted") await setup.abort(streamId);
      await setup.finishScheduled();
      const whole = story + " The " + "x".repeat(600) + " end.";
      expect(await setup.text(streamId)).toEqual({ text: whole, status });
      expect(await tail(streamId)).toMatchObject({ offset: 625, status });
      for (const from of [0, 3, story.length, story.length + 1, 300, 619]) {
        const page = await read(streamId, from);
        expect(page).toMatchObject({ from, text: whole.slice(from) });
      }
      // The rows of version 0.3 stay as they were.
      const rows = (await chunks(streamId)).map(({ text }) => text);
      expect(rows.slice(0, 3).join("")).toBe(story);
    },
  );

  test("have 128 rows for each chunk of a page: each page counts all rows before it again", async () => {
    const old = Array.from({ length: 1000 }, (_, i) => `${i}. `);
    const { streamId, insertChunks, read } = await oldStream("done", old);
    const start = old.join("").length;
    const chunks = Array<string>(300).fill("x".repeat(520));
    await insertChunks(streamId, chunks, start);
    const page = await read(streamId, 10);
    expect(page?.text.length).toBe(start - 10 + (256 - 8) * 520);
    expect(page?.status).toBe("streaming");
    const rest = await read(streamId, page?.next);
    expect(rest?.text.length).toBe(52 * 520);
    expect(rest?.status).toBe("done");
  });

  test("come in pages of 4 MiB, as far as one function can count their rows", async () => {
    const row = "z".repeat(1024 * 1024 - 200);
    const rows = Array<string>(15).fill(row);
    const { streamId, read, tail, add, text } = await oldStream(
      "streaming",
      rows,
    );
    await expect(text(streamId)).rejects.toThrow("Read it in pages");
    const page = await read(streamId, 5 * row.length);
    expect(page?.text.length).toBe(4 * row.length);
    const message = expect.stringContaining(
      "Read the text from the beginning, in pages: getStreamBody(ctx, streamId, 0)",
    ) as string;
    for (const call of [
      read(streamId, 15 * row.length - 1),
      tail(streamId),
      add(streamId, "More."),
    ]) {
      await expect(call).rejects.toMatchObject({ message });
    }
  });
});
